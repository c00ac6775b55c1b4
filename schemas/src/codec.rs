//! Avro values, without the wire format around them.

use std::marker::PhantomData;

use apache_avro::{Schema, reader::datum::GenericDatumReader};

use crate::{binary, events::Event};

/// A value does not fit the schema of its topic.
#[derive(Debug, thiserror::Error)]
#[error("cannot write an event of topic {topic}: {reason}")]
pub struct EncodeError {
    topic: &'static str,
    reason: String,
}

/// Bytes are not what their schema says, or not what the reader expects.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The schema is no schema.
    #[error("the writer's schema is not Avro: {0}")]
    Schema(String),
    /// The value is not of the schema, or not within the bounds of its type.
    #[error("the value does not decode: {0}")]
    Value(String),
    /// There is more than one value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
}

/// Appends an event, written with the newest schema of its topic.
pub fn encode<E: Event>(event: &E, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
    binary::write(event, buffer).map_err(|error| EncodeError {
        topic: E::TOPIC.name,
        reason: error.to_string(),
    })
}

/// The schema that some record of an event was written with.
pub struct WriterSchema<E> {
    /// None where the bytes lie as the type does: it is today's schema, or differs in what bytes do not show.
    other: Option<GenericDatumReader<'static>>,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> WriterSchema<E> {
    /// Today's schema.
    #[must_use]
    pub const fn newest() -> Self {
        Self {
            other: None,
            event: PhantomData,
        }
    }

    /// Parses a schema as the registry gives it.
    pub fn parse(json: &str) -> Result<Self, DecodeError> {
        let wrong = |error: apache_avro::Error| DecodeError::Schema(error.to_string());
        let schema = Schema::parse_str(json).map_err(wrong)?;
        let newest =
            Schema::parse_str(E::TOPIC.schema).expect("every schema of the table parses: a test reads them all");
        if schema.canonical_form() == newest.canonical_form() {
            return Ok(Self::newest());
        }
        // A reader borrows its schema. There are as many as the registry has ids, and they are kept until the process ends
        // anyway.
        let schema = Box::leak(Box::new(schema));
        Ok(Self {
            other: Some(GenericDatumReader::builder(schema).build().map_err(wrong)?),
            event: PhantomData,
        })
    }

    /// Reads a value. Fields that the reader has and the writer had not take the reader's default.
    pub fn decode(&self, value: &[u8]) -> Result<E, DecodeError> {
        let mut rest = value;
        let event = match &self.other {
            None => binary::read(&mut rest).map_err(|error| DecodeError::Value(error.to_string()))?,
            Some(reader) => reader
                .read_deser(&mut rest)
                .map_err(|error| DecodeError::Value(error.to_string()))?,
        };
        if rest.is_empty() {
            Ok(event)
        } else {
            Err(DecodeError::Trailing(rest.len()))
        }
    }
}
