//! The mailer against real Kafka, registry and Postgres, and a mail server that fails on demand.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

mod faults;
mod kitchen;
mod mails;
mod tls;
