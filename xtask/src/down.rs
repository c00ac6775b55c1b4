//! `cargo xtask down`: stops what `--detach` left running.

use clap::{Args, ValueEnum};

use crate::servers::{Instance, State};
use crate::up;

/// Stop what was left running with --detach.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Only this; everything when not given.
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
pub(crate) fn down(args: &DownArgs) {
    let wanted = |what| args.what.is_none_or(|only| only == what);
    if wanted(What::Up) {
        let found = up::stop();
        // Whatever a killed supervisor could not stop itself.
        if stop(&Instance::demo(false)) || found {
            println!("stopped the demo");
        }
    }
    if wanted(What::Servers) && stop(&Instance::standing()) {
        println!("stopped the servers");
    }
}

/// Whether there was anything to stop.
fn stop(instance: &Instance) -> bool {
    let state = State::read(&instance.dir);
    if let Some(state) = &state {
        state.stop(&instance.dir);
    }
    state.is_some()
}
