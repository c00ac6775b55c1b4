//! `larder topics`: the topics on the cluster.

use std::process::ExitCode;

use ::schemas::topics::DEFAULT_PARTITIONS;
use anyhow::Result;
use clap::{Args, Subcommand};
use service::config::KafkaArgs;
use stream::{
    KafkaConfig,
    topics::{Difference, Shape, apply, plan},
};

/// Which way.
#[derive(Debug, Subcommand)]
pub(crate) enum Topics {
    /// Print what differs and change nothing; exit with 3 where anything does
    Plan(Wanted),
    /// Create what is missing and set what differs; never changes a number of partitions
    Apply(Wanted),
}

/// How the topics are to be.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// Partitions of every topic: the most processors that can share the work
    #[arg(long, default_value_t = DEFAULT_PARTITIONS, value_parser = clap::value_parser!(i32).range(1..), value_name = "N")]
    partitions: i32,
    /// Brokers that hold each partition; all but one of them must have a record before it counts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..), value_name = "N")]
    replication: i32,
    #[command(flatten)]
    kafka: KafkaArgs,
}

impl Topics {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let (Self::Plan(wanted) | Self::Apply(wanted)) = &self;
        let kafka = KafkaConfig::try_from(wanted.kafka.clone())?;
        let shape = Shape {
            partitions: wanted.partitions,
            replication: wanted.replication,
        };
        if matches!(self, Self::Plan(_)) {
            let differences = plan(&kafka, shape).await?;
            for difference in &differences {
                println!("{difference}");
            }
            return Ok(if differences.is_empty() {
                println!("every topic is as it must be");
                ExitCode::SUCCESS
            } else {
                super::difference()
            });
        }
        let done = apply(&kafka, shape).await?;
        for difference in &done {
            match difference {
                Difference::Missing { topic, shape } => {
                    println!("{topic}: created with {} partitions", shape.partitions);
                }
                Difference::Setting {
                    topic, name, wanted, ..
                } => println!("{topic}: set {name}={wanted}"),
                Difference::Shape { .. } => unreachable!("a shape that differs is refused"),
            }
        }
        if done.is_empty() {
            println!("every topic was as it must be");
        }
        Ok(ExitCode::SUCCESS)
    }
}
