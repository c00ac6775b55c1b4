//! The commands. Each prints what it did; its error says what to do next.

mod load;
mod migrate;
mod resume;
mod schemas;
mod seed;
mod services;
mod tail;
mod topics;

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Result;
use clap::Subcommand;

/// What `larder` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take orders and adjustments over HTTP
    Ingest(Box<services::Ingest>),
    /// Take the ingredients of orders from stock; or let a stopped shard go on
    Stock(Box<services::Stock>),
    /// Send the mails that alerts cause
    Mailer(Box<services::Mailer>),
    /// Run every service in one process
    All(Box<services::All>),
    /// Bring the database's tables up to date, or check that they are
    Migrate(migrate::Migrate),
    /// Compare the topics on the cluster with those Larder needs, or bring them in line
    #[command(subcommand)]
    Topics(topics::Topics),
    /// Register the events' schemas, or check that they are registered
    #[command(subcommand)]
    Schemas(schemas::Schemas),
    /// Bring in a demo merchant, or many merchants for a load
    Seed(seed::Seed),
    /// Print the records of a topic as JSON lines
    Tail(tail::Tail),
    /// Post orders at a steady rate and measure
    Load(load::Load),
}

impl Command {
    /// Does it.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        // A service sets up its own log; an operator's command shows trouble only.
        if !self.is_service() {
            service::telemetry::init("warn")?;
        }
        match self {
            Self::Ingest(command) => command.run().await,
            Self::Stock(command) => command.run().await,
            Self::Mailer(command) => command.run().await,
            Self::All(command) => command.run().await,
            Self::Migrate(command) => command.run().await,
            Self::Topics(command) => command.run().await,
            Self::Schemas(command) => command.run().await,
            Self::Seed(command) => command.run().await,
            Self::Tail(command) => command.run().await,
            Self::Load(command) => command.run().await,
        }
    }

    const fn is_service(&self) -> bool {
        matches!(self, Self::Ingest(_) | Self::Stock(_) | Self::Mailer(_) | Self::All(_))
    }
}

/// A plan or a check found a difference.
fn difference() -> ExitCode {
    ExitCode::from(3)
}

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
