//! `cargo xtask ci`: everything that must hold before a change is merged, in the order of how soon it tells.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::process;
use crate::sqlx::{self, SqlxArgs};
use crate::test::{self, TestArgs};

type Stage = (&'static str, fn() -> Result<()>);

const STAGES: [Stage; 7] = [
    ("fmt", || cargo(&["fmt", "--all", "--check"])),
    ("clippy", || {
        cargo(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ])
    }),
    ("deny", deny),
    ("sqlx", || sqlx::sqlx(&SqlxArgs { check: true })),
    ("doc", doc),
    ("test", || test::test(&TestArgs::default())),
    ("generated files", generated_files),
];

/// Runs every stage up to the first that fails, and tells how long each took.
pub(crate) fn ci() -> Result<()> {
    let mut timings: Vec<(&str, Duration)> = Vec::new();
    let mut outcome = Ok(());
    for (name, stage) in STAGES {
        println!("\n== {name}");
        let began = Instant::now();
        outcome = stage().with_context(|| format!("{name} failed"));
        timings.push((name, began.elapsed()));
        if outcome.is_err() {
            break;
        }
    }
    println!("\n== timings");
    for (name, took) in timings {
        println!("{name:>16} {:6.1} s", took.as_secs_f32());
    }
    outcome
}

fn cargo(args: &[&str]) -> Result<()> {
    process::run(Command::new("cargo").args(args))
}

/// Licences, bans and sources; deny.toml says why not advisories.
fn deny() -> Result<()> {
    if !process::succeeds(Command::new("cargo").args(["deny", "--version"])) {
        // Unoptimised: it runs for a second, but would compile for minutes longer.
        cargo(&["install", "cargo-deny", "--locked", "--debug"])?;
    }
    cargo(&["deny", "--workspace", "check", "bans", "licenses", "sources"])
}

fn doc() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args([
        "doc",
        "--locked",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    process::run(cargo.env("RUSTDOCFLAGS", "--deny warnings"))
}

/// Snapshots, lock file and query metadata are committed as the tools write them.
fn generated_files() -> Result<()> {
    process::run(Command::new("git").args(["diff", "--exit-code", "--stat"]))
}
