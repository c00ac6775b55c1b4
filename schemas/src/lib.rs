//! The events of Larder: their Avro schemas (`*.avsc` beside this crate), their Rust types, and the one table that
//! binds topic, key, schema and type.
//!
//! What is not here: schema ids and the wire format around a value (`stream`), and what an event means (`domain`).
//!
//! To add an event: write its `.avsc` (every field with a `doc`), its type in [`events`], its row in [`topics`]. To
//! change one: copy the `.avsc` as it is to `history/<topic>.<n>.avsc`, add the field with a default to the schema
//! and `#[serde(default)]` to the type; the tests read the old records with the new type.

mod binary;
pub mod codec;
pub mod events;
pub mod topics;

pub use codec::{DecodeError, EncodeError, WriterSchema, encode};
pub use events::Event;
pub use topics::{TOPICS, Topic};
