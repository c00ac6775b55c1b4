//! `cargo xtask`: everything the project does to itself. Each subcommand is a module of its own; this is the list.

mod bench;
mod ci;
mod down;
mod interrupt;
mod net;
mod paths;
mod prerequisites;
mod process;
mod servers;
mod sqlx;
mod test;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// The project's own tool.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Xtask {
    Up(up::UpArgs),
    Down(down::DownArgs),
    Servers(servers::ServersArgs),
    Test(test::TestArgs),
    /// Run everything that must hold before a change is merged.
    Ci,
    Sqlx(sqlx::SqlxArgs),
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    match run(&Xtask::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            process::exit_code(&error)
        }
    }
}

fn run(xtask: &Xtask) -> Result<()> {
    interrupt::listen(matches!(xtask, Xtask::Up(args) if args.supervised))?;
    match xtask {
        Xtask::Up(args) => up::up(args),
        Xtask::Down(args) => {
            down::down(args);
            Ok(())
        }
        Xtask::Servers(args) => servers::servers(args),
        Xtask::Test(args) => test::test(args),
        Xtask::Ci => ci::ci(),
        Xtask::Sqlx(args) => sqlx::sqlx(args),
        Xtask::Bench(args) => bench::bench(args),
    }
}
