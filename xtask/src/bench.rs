//! `cargo xtask bench`: the programs of `bench/` on real servers.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::paths;
use crate::process;
use crate::servers::Instance;

/// Run a benchmark on the servers of `cargo xtask servers`, started when they do not run.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure: drain, ingest, latency (these three unless said otherwise), growth, peers; and the flags of the
    /// bench binary, which `cargo xtask bench -- --help` lists.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Runs the benchmark; servers that were not running before are stopped after it.
pub(crate) fn bench(args: &BenchArgs) -> Result<()> {
    if args.args.iter().any(|arg| arg.starts_with("--render")) {
        // Nothing is measured, so nothing need run.
        let mut render = Command::new("cargo");
        render
            .args(["run", "--release", "--package", "bench", "--"])
            .args(&args.args);
        return process::run(&mut render);
    }
    let (endpoints, _stopped_at_the_end) = Instance::standing().find_or_start()?;
    // Both in one build, so that they agree on the features of what they share.
    process::run(Command::new("cargo").args(["build", "--release", "--package", "larder", "--package", "bench"]))?;
    process::run(
        Command::new(paths::target().join("release/bench"))
            .args(&args.args)
            .envs(endpoints.env()),
    )
}
