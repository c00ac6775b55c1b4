//! Avro values, without the wire format around them.

use std::io::BufRead;

use serde::{Serialize, de::DeserializeOwned};
use serde_avro_fast::ser::SerializerConfig;

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
pub struct WriterSchema(serde_avro_fast::Schema);

impl WriterSchema {
    /// Parses a schema as the registry gives it.
    pub fn parse(json: &str) -> Result<Self, DecodeError> {
        json.parse()
            .map(Self)
            .map_err(|error: serde_avro_fast::schema::SchemaError| DecodeError::Schema(error.to_string()))
    }

    /// Reads a value. Fields that the reader has and the writer had not take the reader's default.
    pub fn decode<T: DeserializeOwned>(&self, value: &[u8]) -> Result<T, DecodeError> {
        let mut reader = serde_avro_fast::de::DeserializerState::from_slice(value, &self.0);
        let event = T::deserialize(reader.deserializer()).map_err(|error| DecodeError::Value(error.to_string()))?;
        match reader.into_reader().fill_buf() {
            Ok([]) => Ok(event),
            left => Err(DecodeError::Trailing(left.map_or(0, <[u8]>::len))),
        }
    }
}

/// Writes values of one topic with its newest schema.
pub struct Codec {
    topic: &'static Topic,
    schema: serde_avro_fast::Schema,
}

impl Codec {
    /// The codec of a topic.
    #[must_use]
    pub fn new(topic: &'static Topic) -> Self {
        let schema = topic
            .schema
            .parse()
            .expect("every schema of the table parses: a test reads them all");
        Self { topic, schema }
    }

    /// Appends a value to `buffer`.
    pub fn encode<T: Serialize>(&self, event: &T, buffer: Vec<u8>) -> Result<Vec<u8>, EncodeError> {
        serde_avro_fast::to_datum(event, buffer, &mut SerializerConfig::new(&self.schema)).map_err(|error| {
            EncodeError {
                topic: self.topic.name,
                reason: error.to_string(),
            }
        })
    }
}
