//! The stock-processor on real Kafka, registry and Postgres. Every test has topics and a database of its own.

#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

mod bar;
mod orders;
