//! Avro's binary encoding, straight from and into our types.
//!
//! A type of ours is laid out as its schema says: fields in the schema's order, `Option` for `["null", …]`, an enum's
//! variants in the order of its symbols. So nobody needs to walk the schema for each value. That the two agree is what the
//! tests of this crate check, against apache-avro; whatever was written with another schema is read by apache-avro.
//!
//! Only what the events need is here: no floats, no maps, no unions but with null.

mod read;
mod write;

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

/// A value that this encoding cannot hold, or bytes that do not hold the value.
#[derive(Debug)]
pub(crate) struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Appends a value.
pub(crate) fn write<T: Serialize>(value: &T, to: &mut Vec<u8>) -> Result<(), Error> {
    value.serialize(write::Writer { to })
}

/// Reads a value, and leaves in `from` what follows it.
pub(crate) fn read<T: DeserializeOwned>(from: &mut &[u8]) -> Result<T, Error> {
    T::deserialize(&mut read::Reader { from })
}
