//! What tests stand on: real Kafka, registry and Postgres, and a corner of them that no other test sees.
//!
//! [`Env::fresh`] makes the corner: a prefix for topics, groups and subjects, and a database of its own. [`kafka`]
//! puts records on a topic and reads them off, [`wait`] waits on a condition with a deadline.
//!
//! What is not here: fakes. A test that needs a server that misbehaves cuts the line to a real one.
//!
//! Everything stops the test with a sentence where something is not there; nothing returns an error.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

pub mod env;
pub mod kafka;
pub mod proxy;
pub mod servers;
pub mod wait;

pub use env::{Env, database, empty_database};
pub use proxy::Proxy;
pub use servers::{Servers, servers};
pub use wait::{wait_for, wait_until};
