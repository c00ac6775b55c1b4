//! order-ingest against real Kafka, registry and Postgres.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

mod adjustments;
mod catalogue;
mod faults;
mod http;
mod idempotency;
mod orders;
mod reads;
mod refusals;
mod shop;
