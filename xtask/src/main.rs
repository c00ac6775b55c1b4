//! `cargo xtask`: everything the project does to itself. Each subcommand is a module of its own; this is the list.

mod down;
mod interrupt;
mod net;
mod paths;
mod process;
mod servers;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// The project's own tool.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Xtask {
    /// Start Kafka, the schema registry and Postgres.
    Servers(servers::ServersArgs),
    /// Stop what was left running with --detach.
    Down(down::DownArgs),
}

fn main() -> ExitCode {
    match run(Xtask::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(xtask: Xtask) -> Result<()> {
    interrupt::listen()?;
    match xtask {
        Xtask::Servers(args) => servers::servers(&args),
        Xtask::Down(args) => down::down(&args),
    }
}
