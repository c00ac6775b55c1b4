//! `cargo xtask bench`: the programs of `bench/` on real servers.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::process;
use crate::servers::Instance;

/// Run a benchmark on the servers of `cargo xtask servers`, started when they do not run.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Handed to the bench binary.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Runs the benchmark; servers that were not running before are stopped after it.
pub(crate) fn bench(args: &BenchArgs) -> Result<()> {
    let (endpoints, _stopped_at_the_end) = Instance::standing().find_or_start()?;
    let mut cargo = Command::new("cargo");
    cargo
        .args(["run", "--release", "--package", "bench", "--"])
        .args(&args.args)
        .envs(endpoints.env());
    process::run(&mut cargo)
}
