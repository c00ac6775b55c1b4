//! `cargo xtask down`: stops what `--detach` left running.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::servers::{Instance, State};

/// Stop what was left running with --detach.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Only these; everything when not given.
    what: Option<What>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The demo of `cargo xtask up`.
    Up,
    /// The servers of `cargo xtask servers`.
    Servers,
}

/// Stops the demo, then the servers.
pub(crate) fn down(args: &DownArgs) -> Result<()> {
    let wanted = |what| args.what.is_none_or(|only| only == what);
    if wanted(What::Up) {
        stop(&Instance::demo(false), "the demo's servers")?;
    }
    if wanted(What::Servers) {
        stop(&Instance::standing(), "the servers")?;
    }
    Ok(())
}

fn stop(instance: &Instance, what: &str) -> Result<()> {
    if let Some(state) = State::read(&instance.dir).filter(State::alive_in_part) {
        state.stop();
        state.without_processes().write(&instance.dir)?;
        println!("stopped {what}");
    }
    Ok(())
}
