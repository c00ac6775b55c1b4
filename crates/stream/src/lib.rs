//! Kafka and the schema registry: how records get onto a topic and off it again.
//!
//! What is here: addresses and names ([`config`]), the wire format and the registry behind it ([`wire`],
//! [`registry`]), headers ([`headers`]), the producer with its acknowledgements ([`producer`]), the at-least-once
//! loop that sinks run on ([`consume`]), dead letters ([`dead_letter`]), where a key belongs ([`partition`]), and what an
//! operator brings in line: [`topics`] and [`subjects`].
//!
//! What is not: what a record means (`schemas`, `domain`), and the stock-processor's own loop, which keeps its
//! position in Postgres (`stock-processor`).
//!
//! To add a consumer: implement [`consume::Handler`], name its group in `schemas::topics`, call [`consume::run`].

pub mod config;
pub mod consume;
pub mod dead_letter;
pub mod headers;
pub mod partition;
pub mod producer;
pub mod record;
pub mod registry;
pub mod subjects;
pub mod topics;
pub mod wire;

pub use config::{KafkaConfig, Names, RegistryConfig};
pub use consume::{Handler, Outcome};
pub use dead_letter::DeadLetters;
pub use headers::{cloud_events, event_headers, header, now};
pub use producer::{Batch, Delivery, DeliveryError, Producer, ProducerTuning, SendError};
pub use record::Record;
pub use registry::{DecodeFailure, Reader, Registry, RegistryError, Writer};
