//! How fast Larder is, beside a limit measured in the same run on the same servers.
//!
//! `cargo xtask bench drain` is the way to run it: it starts the servers and builds for release.

mod backlog;
mod drain;
mod limit;
mod processes;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

/// Benchmarks of Larder.
#[derive(Parser)]
struct Cli {
    /// Also write the figures to this file, as JSON
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Drain a backlog of orders until every outcome is stored and published
    Drain(drain::Args),
}

#[tokio::main]
async fn main() -> Result<()> {
    service::tls::install_crypto_provider();
    let cli = Cli::parse();
    let figures = match cli.bench {
        Bench::Drain(args) => serde_json::json!({ "drain": drain::run(&args).await? }),
    };
    println!("{}", serde_json::to_string_pretty(&figures)?);
    if let Some(file) = cli.json {
        fs::write(&file, figures.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
