//! `larder ingest` with nothing behind it: HTTP, API key, JSON, validation, prices, the Avro record and its headers,
//! but no Kafka. What the real one makes of its requests is measured beside this.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;
use mimalloc::MiMalloc;
use order_ingest::{Config, IngestArgs, Outlet};
use rdkafka::{error::KafkaError, message::OwnedHeaders};
use service::{
    Admin, Context, Shutdown, Task,
    config::{DatabaseArgs, KafkaArgs, ProcessArgs, RegistryArgs},
};
use stream::{Delivery, SendError};

/// As `larder` has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Takes orders and forgets them: for measuring alone.
#[derive(Parser)]
struct Limit {
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    ingest: IngestArgs,
}

/// Acknowledges every record at once.
struct Nowhere;

impl Outlet for Nowhere {
    fn send(&self, _topic: &str, _key: &str, _value: &[u8], headers: OwnedHeaders) -> Result<Delivery, SendError> {
        drop(headers);
        Ok(Delivery::settled(0, 0))
    }

    fn in_flight(&self) -> i32 {
        0
    }

    fn partitions(&self, _topic: &str, _timeout: Duration) -> Result<usize, KafkaError> {
        Ok(1)
    }
}

fn main() -> ExitCode {
    service::tls::install_crypto_provider();
    let limit = Limit::parse();
    service::block_on(async {
        limit.run().await.unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        })
    })
}

impl Limit {
    async fn run(self) -> Result<ExitCode> {
        service::telemetry::init(&self.process.log)?;
        let context = Context::new(Shutdown::new(self.process.grace()));
        let _admin = Admin::start(self.process.admin_listen, &context).await?;
        let config = Config {
            listen: self.ingest.ingest_listen,
            kafka: self.kafka.try_into()?,
            registry: self.registry.try_into()?,
            database: self.database.try_into()?,
            limits: self.ingest.limits(),
        };
        let app = order_ingest::build_onto(Box::new(Nowhere), config, &context).await?;
        Ok(service::run(&context, vec![Task::new("ingest-limit", app.run())]).await)
    }
}
