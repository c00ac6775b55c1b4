//! `cargo xtask test`: the whole suite, on real servers of its own.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::servers::{Instance, Memory};
use crate::{paths, prerequisites, process};

/// Run the tests of every crate on real servers, which are stopped afterwards.
#[derive(Debug, Default, Args)]
pub(crate) struct TestArgs {
    /// Handed to cargo test; a --package among them narrows the run.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Runs the tests; their exit status becomes ours.
pub(crate) fn test(args: &TestArgs) -> Result<()> {
    let python = prerequisites::for_tests()?;
    let instance = Instance::test();
    let running = instance.start()?;
    for (name, value) in running.endpoints.env() {
        println!("# {name}={value}");
    }
    let mut build = Command::new("cargo");
    process::run(build.args(["build", "--locked", "--package", "larder"]))?;
    let mut tests = Command::new("cargo");
    tests.args(["test", "--locked"]);
    if !args
        .args
        .iter()
        .any(|arg| arg.starts_with("-p") || arg.starts_with("--package"))
    {
        tests.arg("--workspace");
    }
    tests
        .args(&args.args)
        .envs(running.endpoints.env())
        .env("LARDER_PYTHON", python);
    tests.env("LARDER_BIN", paths::larder(false));
    let outcome = process::run(&mut tests);
    drop(running);
    if outcome.is_ok() {
        // A failed test's data stays for who wants to look, until the next run.
        Memory::forget_data(&instance.dir)?;
    }
    outcome
}
