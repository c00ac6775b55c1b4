//! A peer as a process: it is let go by a line on its standard input, and says in lines of JSON when it began and ended.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{
    figure::{float, rounded},
    processes::{self, Cpu, Meter, Servers},
};

/// The longest that a run may take.
const PATIENCE: Duration = Duration::from_mins(3);

/// What a run of a peer took.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ran {
    pub(crate) orders: u64,
    /// From the first record it saw to its last outcome committed, by its own clock.
    pub(crate) orders_per_s: f64,
    /// From the begin of the run; what its runtime takes to start is left out.
    pub(crate) cpu_us_per_order: Cpu,
    pub(crate) rss_mb: f64,
}

pub(crate) struct Program {
    name: &'static str,
    child: Child,
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    pid: u32,
}

impl Program {
    /// Starts it; it ends with this.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().context("a process without a pid")?;
        let commands = child.stdin.take().context("a process without input")?;
        let output = child.stdout.take().context("a process without output")?;
        Ok(Self {
            name,
            child,
            commands,
            lines: BufReader::new(output).lines(),
            pid,
        })
    }

    /// Lets a run go and waits until it has ended.
    pub(crate) async fn run(&mut self, run: &str, servers: Servers) -> Result<Ran> {
        // One that is not waiting for it does not read it.
        self.commands.write_all(format!("{run}\n").as_bytes()).await?;
        self.fact("begin").await?;
        let meter = Meter::start(servers, processes::cpu_seconds(self.pid));
        let end = self.fact("end").await?;
        let orders = end["orders"].as_u64().context("an end without orders")?;
        let seconds = end["seconds"].as_f64().context("an end without seconds")?;
        let ran = Ran {
            orders,
            orders_per_s: rounded(float(orders) / seconds, 0),
            cpu_us_per_order: meter.per_order(processes::cpu_seconds(self.pid), orders),
            rss_mb: processes::peak_rss_mib(self.pid),
        };
        eprintln!(
            "{} {run}: {:.0}/s, {:?}",
            self.name, ran.orders_per_s, ran.cpu_us_per_order
        );
        Ok(ran)
    }

    /// The next line of JSON that has this key.
    pub(crate) async fn fact(&mut self, key: &str) -> Result<Value> {
        let wanted = async {
            while let Some(line) = self.lines.next_line().await? {
                match serde_json::from_str::<Value>(&line) {
                    Ok(fact) if fact.get(key).is_some() => return Ok(fact),
                    _ => eprintln!("{}: {line}", self.name),
                }
            }
            bail!("{} ended before it said \"{key}\": see its log above", self.name)
        };
        tokio::time::timeout(PATIENCE, wanted)
            .await
            .with_context(|| format!("{} has not said \"{key}\" for {PATIENCE:?}", self.name))?
    }

    /// Waits until it has ended by itself, for want of further runs.
    pub(crate) async fn end(mut self) -> Result<()> {
        drop(self.commands);
        let status = tokio::time::timeout(Duration::from_mins(1), self.child.wait())
            .await
            .with_context(|| format!("{} does not end", self.name))??;
        ensure!(status.success(), "{} failed ({status}): see its log above", self.name);
        Ok(())
    }

    /// Stops one that would run for ever.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }
}
