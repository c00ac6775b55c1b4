//! Avro values, without the wire format around them.

use apache_avro::{Schema, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use serde::{Serialize, de::DeserializeOwned};

use crate::Topic;

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

/// The schema some record was written with.
pub struct WriterSchema(GenericDatumReader<'static>);

impl WriterSchema {
    /// Parses a schema as the registry gives it.
    pub fn parse(json: &str) -> Result<Self, DecodeError> {
        let schema = Schema::parse_str(json).map_err(|error| DecodeError::Schema(error.to_string()))?;
        let reader = GenericDatumReader::builder(forever(schema)).build();
        reader.map(Self).map_err(|error| DecodeError::Schema(error.to_string()))
    }

    /// Reads a value. Fields that the reader has and the writer had not take the reader's default.
    pub fn decode<T: DeserializeOwned>(&self, value: &[u8]) -> Result<T, DecodeError> {
        let mut rest = value;
        let event = self
            .0
            .read_deser(&mut rest)
            .map_err(|error| DecodeError::Value(error.to_string()))?;
        if rest.is_empty() {
            Ok(event)
        } else {
            Err(DecodeError::Trailing(rest.len()))
        }
    }
}

/// Writes values of one topic with its newest schema.
pub struct Codec {
    topic: &'static Topic,
    writer: GenericDatumWriter<'static>,
}

impl Codec {
    /// The codec of a topic.
    #[must_use]
    pub fn new(topic: &'static Topic) -> Self {
        let schema = Schema::parse_str(topic.schema).expect("every schema of the table parses: a test reads them all");
        let writer = GenericDatumWriter::builder(forever(schema)).build();
        Self {
            topic,
            writer: writer.expect("every schema of the table resolves: a test writes them all"),
        }
    }

    /// Appends a value to `buffer`.
    pub fn encode<T: Serialize>(&self, event: &T, mut buffer: Vec<u8>) -> Result<Vec<u8>, EncodeError> {
        match self.writer.write_ser(&mut buffer, event) {
            Ok(_) => Ok(buffer),
            Err(error) => Err(EncodeError {
                topic: self.topic.name,
                reason: error.to_string(),
            }),
        }
    }
}

/// Readers and writers borrow their schema. There are as many as the registry has ids, and they are kept until the
/// process ends anyway.
fn forever(schema: Schema) -> &'static Schema {
    Box::leak(Box::new(schema))
}
