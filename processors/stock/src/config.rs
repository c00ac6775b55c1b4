//! What can be set.

use store::DatabaseConfig;
use stream::{KafkaConfig, RegistryConfig};

/// Flags of the stock-processor alone.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Stock-processor")]
#[group(id = "stock")]
pub struct Args {
    /// Connections to Postgres, each with its own worker; shards are spread over them
    #[arg(long = "stock-connections", env = "STOCK_CONNECTIONS", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub connections: u16,
    /// The most records applied in one transaction
    #[arg(long = "stock-batch-records", env = "STOCK_BATCH_RECORDS", default_value_t = 15_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub batch_records: u32,
    /// The most bytes of records applied in one transaction
    #[arg(long = "stock-batch-bytes", env = "STOCK_BATCH_BYTES", default_value_t = 8 * 1024 * 1024, value_parser = clap::value_parser!(u32).range(1024..))]
    pub batch_bytes: u32,
    /// The most merchants whose stock is kept in memory, over all shards
    #[arg(long = "stock-cached-merchants", env = "STOCK_CACHED_MERCHANTS", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub cached_merchants: u32,
    /// Seconds of silence after which Kafka gives a worker's partitions to others
    #[arg(long = "stock-session-timeout-s", env = "STOCK_SESSION_TIMEOUT_S", default_value_t = 45, value_parser = clap::value_parser!(u16).range(6..=1800))]
    pub session_timeout_s: u16,
}

/// Everything the stock-processor needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where Kafka is.
    pub kafka: KafkaConfig,
    /// Where the schema registry is.
    pub registry: RegistryConfig,
    /// Where Postgres is.
    pub database: DatabaseConfig,
    /// The rest.
    pub args: Args,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            connections: 3,
            batch_records: 15_000,
            batch_bytes: 8 * 1024 * 1024,
            cached_merchants: 20_000,
            session_timeout_s: 45,
        }
    }
}

impl Args {
    /// With the addresses that every service is given.
    #[must_use]
    pub const fn into_config(self, kafka: KafkaConfig, registry: RegistryConfig, database: DatabaseConfig) -> Config {
        Config {
            kafka,
            registry,
            database,
            args: self,
        }
    }
}
