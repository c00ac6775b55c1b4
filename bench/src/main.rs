//! How fast Larder is, beside limits measured in the same run on the same servers.
//!
//! `cargo xtask bench` is the way to run it: it starts the servers and builds for release. Each bench is a module with a
//! `run` that takes the [`load::Load`] and returns its figures; [`run`] is the table of them. To add one: a module, a
//! variant of [`run::Bench`], a line in `run::measure`.

mod backlog;
mod charts;
mod check;
mod corner;
mod drain;
mod figure;
mod floor;
mod growth;
mod http;
mod ingest;
mod larder;
mod latency;
mod limit;
mod load;
mod machine;
mod pace;
mod peers;
mod percentiles;
mod processes;
mod record;
mod report;
mod run;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Parser;
use mimalloc::MiMalloc;

/// As `larder` has it: a limit that allocates more slowly would be none.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measure how fast Larder is.
#[derive(Parser)]
struct Cli {
    /// What to measure; drain, ingest and latency unless said otherwise
    #[arg(value_enum)]
    benches: Vec<run::Bench>,
    /// Measure what people use today as well
    #[arg(long)]
    peers: bool,
    /// Also write the figures to this file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Do not keep the figures in bench/results and draw nothing of them
    #[arg(long)]
    no_record: bool,
    /// Measure nothing: draw tables and charts of this file of bench/results again
    #[arg(long, value_name = "FILE", conflicts_with = "benches")]
    render: Option<PathBuf>,
    #[command(flatten)]
    load: load::Load,
}

#[tokio::main]
async fn main() -> Result<()> {
    service::tls::install_crypto_provider();
    let cli = Cli::parse();
    if let Some(file) = cli.render {
        return record::render(&file);
    }
    let (figures, outcome) = run::all(&run::chosen(&cli.benches, cli.peers), &cli.load).await;
    println!("{}", serde_json::to_string_pretty(&figures)?);
    if let Some(file) = cli.json {
        let text = serde_json::to_string_pretty(&figures)?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if !cli.no_record && !figures.is_empty() {
        let file = record::keep(&figures).await?;
        eprintln!("kept in {}, drawn in docs/benchmarks.md", file.display());
    }
    outcome
}
