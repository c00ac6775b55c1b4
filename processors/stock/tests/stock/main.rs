//! The stock-processor on real Kafka, registry and Postgres. Every test has topics and a database of its own.

#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]
#![allow(clippy::float_cmp, reason = "counters hold whole numbers")]

mod adjustments;
mod bar;
mod duplicates;
mod faults;
mod ledger;
mod orders;
mod owners;
mod poison;
mod random;
mod stops;
