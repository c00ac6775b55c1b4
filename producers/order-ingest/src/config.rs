//! What the service is told when it starts.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use store::DatabaseConfig;
use stream::{KafkaConfig, RegistryConfig};

/// Flags and variables of this service alone.
#[allow(
    clippy::struct_field_names,
    reason = "a field is a flag, and flags of all services stand side by side"
)]
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Ingest")]
pub struct IngestArgs {
    /// Where orders are taken
    #[arg(
        long,
        env = "LARDER_INGEST_LISTEN",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS"
    )]
    pub ingest_listen: SocketAddr,
    /// The most requests handled at a time; more are answered 503
    #[arg(long, env = "LARDER_INGEST_REQUESTS", default_value_t = Limits::default().requests, value_name = "N")]
    pub ingest_requests: usize,
    /// The most connections held open; more wait to be accepted
    #[arg(long, env = "LARDER_INGEST_CONNECTIONS", default_value_t = Limits::default().connections, value_name = "N")]
    pub ingest_connections: usize,
    /// How long an order waits for others to share its request to Kafka when many are under way, in milliseconds
    #[arg(
        long,
        env = "LARDER_INGEST_BUSY_LINGER",
        default_value_t = 2,
        value_name = "MILLISECONDS"
    )]
    pub ingest_busy_linger: u32,
}

impl IngestArgs {
    /// The limits these flags set.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            requests: self.ingest_requests.max(1),
            connections: self.ingest_connections.max(1),
            busy_linger: Duration::from_millis(self.ingest_busy_linger.into()),
            ..Limits::default()
        }
    }
}

/// Everything the service needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where orders are taken; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Where events go.
    pub kafka: KafkaConfig,
    /// Where schema ids come from.
    pub registry: RegistryConfig,
    /// Where the catalogue and the outcomes are.
    pub database: DatabaseConfig,
    /// What is too much or too slow.
    pub limits: Limits,
}

/// What is too much or too slow.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests handled at a time.
    pub requests: usize,
    /// Connections held open.
    pub connections: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// How long the head of a request may take, and how long a connection may idle.
    pub head_timeout: Duration,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// How long Kafka may take; what is not acknowledged by then is answered 503.
    pub answer_within: Duration,
    /// After so long Kafka's client gives a record up. It looks once a second, so this and a second more must be
    /// less than `answer_within`: then a record that was answered 503 is not sent any more.
    pub message_timeout: Duration,
    /// How long a record waits for others to share its request when many are under way.
    pub busy_linger: Duration,
    /// Records that wait for Kafka's acknowledgement.
    pub queue_records: u32,
    /// How long Postgres may take to find what is read.
    pub database_timeout: Duration,
    /// How long Postgres may take to find an earlier order of the same `Idempotency-Key`.
    pub replay_timeout: Duration,
    /// After so long an entry of the catalogue is read again, whether or not a change was told.
    pub catalogue_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 4096,
            connections: 10_000,
            body_bytes: 64 * 1024,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(10),
            answer_within: Duration::from_millis(1950),
            message_timeout: Duration::from_millis(900),
            busy_linger: Duration::from_millis(2),
            queue_records: 100_000,
            database_timeout: Duration::from_secs(2),
            replay_timeout: Duration::from_millis(500),
            catalogue_age: Duration::from_mins(5),
        }
    }
}
