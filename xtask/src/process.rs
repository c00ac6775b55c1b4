//! Child processes: started in a process group of their own, logging to a file, stopped by the pid that was started.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::{interrupt, paths};

/// How long a process may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(20);

/// A process as the kernel knows it. The start time tells it from a later one with the same pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) pid: i32,
    started: u64,
}

/// A child of this xtask.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) identity: Identity,
    pub(crate) log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `command` in its own process group, so that a Ctrl-C in the terminal reaches xtask alone, which then stops
    /// things in order. What it prints is appended to `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log);
        let out = out.with_context(|| format!("cannot write {}", log.display()))?;
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name} ({command:?})"))?;
        let pid = i32::try_from(child.id())?;
        let started = stat(pid).context("xtask needs Linux's /proc")?.started;
        Ok(Self {
            identity: Identity {
                name: name.into(),
                pid,
                started,
            },
            log: log.into(),
            child,
        })
    }

    /// How it ended, if it did.
    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Stops it and waits until it is gone.
    pub(crate) fn stop(&mut self) {
        self.identity.stop();
        let _gone = self.child.wait();
    }

    /// Waits until `ready`, and no longer than `limit`; fails with the log's end when it does not come to that.
    pub(crate) fn wait_until(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        let name = self.identity.name.clone();
        while !ready() {
            interrupt::check()?;
            if let Some(status) = self.exited()? {
                bail!(
                    "{name} ended before it was ready ({status}); {}",
                    paths::tail(&self.log, 30)
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "{name} was not ready within {} s; {}",
                    limit.as_secs(),
                    paths::tail(&self.log, 30)
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Identity {
    /// This xtask.
    pub(crate) fn own() -> Result<Self> {
        let pid = i32::try_from(std::process::id())?;
        let started = stat(pid).context("xtask needs Linux's /proc")?.started;
        Ok(Self {
            name: "xtask".into(),
            pid,
            started,
        })
    }

    /// Whether this very process still runs.
    pub(crate) fn alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.zombie)
    }

    /// Asks it to stop, without waiting.
    pub(crate) fn ask_to_stop(&self) {
        // To Postgres, SIGTERM means "when the last client has gone"; SIGINT means now, and orderly.
        let signal = if self.name == "postgres" {
            Signal::INT
        } else {
            Signal::TERM
        };
        if let (true, Some(pid)) = (self.alive(), Pid::from_raw(self.pid)) {
            let _gone_already = kill_process(pid, signal);
        }
    }

    /// Asks it to stop, waits, and kills its group when it takes too long or the user insists.
    pub(crate) fn stop(&self) {
        self.stop_within(GRACE);
    }

    /// The same with another grace.
    pub(crate) fn stop_within(&self, grace: Duration) {
        self.ask_to_stop();
        let deadline = Instant::now() + grace;
        while self.alive() {
            if interrupt::insisted() || Instant::now() > deadline {
                self.kill();
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&self) {
        if let (true, Some(pid)) = (self.alive(), Pid::from_raw(self.pid)) {
            let _gone_already = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// A command that ended badly; its exit status is xtask's.
#[derive(Debug)]
pub(crate) struct Failed {
    command: String,
    pub(crate) status: ExitStatus,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed ({})", self.command, self.status)
    }
}

impl Error for Failed {}

/// The exit status of the command that failed, when it was one.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    let failed = error.chain().find_map(|cause| cause.downcast_ref::<Failed>());
    let code = failed.and_then(|failed| u8::try_from(failed.status.code()?).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Runs a command to its end in the terminal; an error unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    interrupt::check()?;
    if !status.success() {
        return Err(Failed {
            command: shown(command),
            status,
        }
        .into());
    }
    Ok(())
}

/// Runs a command to its end and yields what it printed; its stderr becomes the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    if !output.status.success() {
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        bail!("{} failed ({}):\n{out}{err}", shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a command can be run at all and succeeds.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// What /proc/PID/stat tells.
struct Stat {
    started: u64,
    zombie: bool,
}

fn stat(pid: i32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in brackets and may hold anything: count from behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let zombie = fields.next()? == "Z";
    Some(Stat {
        started: fields.nth(18)?.parse().ok()?,
        zombie,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_process_is_no_longer_alive() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("1000");
        let mut process = Process::start("sleep", command, &dir.path().join("log")).unwrap();
        assert!(process.identity.alive());
        process.stop();
        assert!(!process.identity.alive());
    }

    #[test]
    fn a_process_that_dies_before_it_is_ready_is_reported_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such luck; exit 3"]);
        let mut process = Process::start("sh", command, &dir.path().join("log")).unwrap();
        let error = process
            .wait_until(Duration::from_secs(10), || false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("no such luck"), "{error}");
    }
}
