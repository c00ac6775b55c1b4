//! `cargo xtask servers`.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::{Endpoints, Instance, State};
use crate::interrupt;

/// Kafka, the schema registry and Postgres, whichever the environment does not name already.
#[derive(Debug, Args)]
pub(crate) struct ServersArgs {
    /// Leave them running until `cargo xtask down`.
    #[arg(long)]
    detach: bool,
    /// Forget what earlier runs stored.
    #[arg(long)]
    fresh: bool,
}

/// Starts the servers, or finds them running, and prints how to reach them.
pub(crate) fn servers(args: &ServersArgs) -> Result<()> {
    let instance = Instance {
        fresh: args.fresh,
        ..Instance::standing()
    };
    if let Some(state) = State::read(&instance.dir).filter(State::alive) {
        println!("# already running; cargo xtask down stops them");
        print(&state.endpoints);
        return Ok(());
    }
    let began = Instant::now();
    let mut running = instance.start()?;
    println!(
        "# ready after {:.1} s; logs and data in {}",
        began.elapsed().as_secs_f32(),
        instance.dir.display()
    );
    print(&running.endpoints);
    if args.detach {
        running.detach();
        println!("# cargo xtask down stops them");
        return Ok(());
    }
    println!("# Ctrl-C stops them");
    while !interrupt::asked() {
        running.check()?;
        thread::sleep(Duration::from_millis(200));
    }
    println!("# stopping");
    Ok(())
}

fn print(endpoints: &Endpoints) {
    for (name, value) in endpoints.env() {
        println!("export {name}={value}");
    }
}
