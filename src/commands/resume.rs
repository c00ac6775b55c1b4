//! `larder stock resume`: the operator's word for a shard that stopped rather than guess.

use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgGroup, Args};
use service::config::{DatabaseArgs, KafkaArgs};
use stock_processor::Accept;
use store::{Database, migrate};

/// Lets a stopped shard go on. The log names the reason, docs/operations.md says what each means.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("accept").required(true).args(["accept_gap", "accept_fingerprint", "accept_rewind"]))]
pub(crate) struct Resume {
    /// Which one: the partition's number
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..), value_name = "N")]
    shard: i32,
    /// Only for this topic, without the prefix
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Records that were never applied are gone, or cannot be told: go on without them
    #[arg(long)]
    accept_gap: bool,
    /// The topic was made anew: read it from its beginning
    #[arg(long)]
    accept_fingerprint: bool,
    /// The database was restored to an older state: apply what came since then again
    #[arg(long)]
    accept_rewind: bool,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Resume {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let accept = match (self.accept_gap, self.accept_fingerprint) {
            (true, _) => Accept::Gap,
            (_, true) => Accept::Fingerprint,
            _ => Accept::Rewind,
        };
        let kafka = self.kafka.try_into()?;
        let database = Database::connect(&self.database.try_into()?).await?;
        migrate::check(&database).await?;
        for line in stock_processor::resume(&kafka, &database, self.shard, self.topic.as_deref(), accept).await? {
            println!("{line}");
        }
        Ok(ExitCode::SUCCESS)
    }
}
