//! Who runs the demo: this xtask, or the copy that `--detach` leaves behind. Its pid and its children's are written down,
//! so that `cargo xtask down` finds them, and so that nothing of a killed one stays.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::{UpArgs, demo};
use crate::paths;
use crate::process::{Identity, Process};

/// A first build takes minutes.
const READY_WITHIN: Duration = Duration::from_mins(30);

/// The content of `target/up/supervisor.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Supervisor {
    xtask: Identity,
    children: Vec<Identity>,
}

impl Supervisor {
    /// Writes this process down, once what a killed one left has been stopped.
    pub(crate) fn begin() -> Result<Self> {
        paths::make_dir(&dir())?;
        if let Some(other) = Self::read() {
            if other.xtask.alive() {
                bail!(
                    "another cargo xtask up is starting or stopping (pid {}); wait, or cargo xtask down",
                    other.xtask.pid
                );
            }
            other.stop();
        }
        demo::remove_file();
        let supervisor = Self {
            xtask: Identity::own()?,
            children: Vec::new(),
        };
        supervisor.write()?;
        Ok(supervisor)
    }

    /// Remembers a child that the servers' own record does not hold.
    pub(crate) fn adopt(&mut self, child: &Identity) -> Result<()> {
        self.children.push(child.clone());
        self.write()
    }

    /// Everything has been stopped.
    pub(crate) fn end() {
        demo::remove_file();
        let _gone_already = fs::remove_file(file());
    }

    /// Whether a demo runs.
    pub(crate) fn runs() -> bool {
        Self::read().is_some_and(|supervisor| supervisor.xtask.alive())
    }

    fn read() -> Option<Self> {
        serde_json::from_slice(&fs::read(file()).ok()?).ok()
    }

    fn write(&self) -> Result<()> {
        paths::write_json(&file(), self)
    }

    fn stop(&self) {
        self.xtask.stop_within(Duration::from_mins(2));
        for child in &self.children {
            child.stop();
        }
    }
}

/// Starts a copy of xtask that stays, and waits until it says that everything is ready.
pub(crate) fn detach(args: &UpArgs) -> Result<()> {
    paths::make_dir(&dir())?;
    demo::remove_file();
    let log = dir().join("up.log");
    File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut copy = Command::new(env::current_exe()?);
    copy.args(["up", "--supervised"]);
    copy.args(args.load.map(|rate| format!("--load={rate}")));
    for (flag, given) in [
        ("--watch", args.watch),
        ("--release", args.release),
        ("--keep", args.keep),
    ] {
        copy.args(given.then_some(flag));
    }
    println!("# building and starting; progress is in {}", log.display());
    let mut copy = Process::start("cargo xtask up", copy, &log)?;
    let ready = copy.wait_until(READY_WITHIN, || demo::file().exists());
    if ready.is_err() {
        copy.identity.stop_within(Duration::from_mins(2));
        return ready;
    }
    let printed = fs::read_to_string(&log)?;
    print!(
        "{}",
        printed
            .split_once("\nLarder is up")
            .map_or(String::new(), |(_, rest)| format!("Larder is up{rest}"))
    );
    Ok(())
}

/// Stops a demo that runs; whether there was one.
pub(crate) fn stop() -> bool {
    let Some(supervisor) = Supervisor::read() else {
        return false;
    };
    supervisor.stop();
    Supervisor::end();
    true
}

fn dir() -> PathBuf {
    paths::target().join("up")
}

fn file() -> PathBuf {
    dir().join("supervisor.json")
}
