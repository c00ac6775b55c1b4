//! One Kafka broker that is its own controller.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::maven::{self, Dist};
use crate::process::{self, Process};
use crate::{net, paths};

const READY_WITHIN: Duration = Duration::from_secs(90);

/// A broker on its way up.
#[derive(Debug)]
pub(crate) struct Kafka {
    pub(crate) port: u16,
}

impl Kafka {
    /// Starts a broker that keeps its data in `dir` and serves on `port`.
    pub(crate) fn start(dist: &Dist, dir: &Path, port: u16) -> Result<(Self, Process)> {
        paths::make_dir(dir)?;
        let config = dir.join("server.properties");
        fs::write(&config, properties(dir, port, net::free_port(&[])?))?;
        if !dir.join("data/meta.properties").exists() {
            format(dist, &config)?;
        }
        let log = dir.join("kafka.log");
        let mut java = java(dist)?;
        java.args(["-Xms256m", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]);
        java.arg("kafka.Kafka").arg(&config);
        Ok((Self { port }, Process::start("kafka", java, &log)?))
    }

    /// Waits until topics can be created.
    pub(crate) fn wait(&self, process: &mut Process) -> Result<()> {
        process.wait_until(READY_WITHIN, || net::broker_ready(self.port).unwrap_or(false))
    }
}

/// Gives the data folder its cluster id, which Kafka insists on.
fn format(dist: &Dist, config: &Path) -> Result<()> {
    let mut tool = java(dist)?;
    // Any 16 bytes in base64; the same everywhere, as no cluster here ever meets another.
    tool.args([
        "-XX:TieredStopAtLevel=1",
        "kafka.tools.StorageTool",
        "format",
        "--standalone",
    ]);
    tool.args(["--cluster-id", "TGFyZGVyTGFyZGVyTGFyZA", "--config"])
        .arg(config);
    process::output(&mut tool).map(drop)
}

fn java(dist: &Dist) -> Result<Command> {
    let logging = paths::root().join("xtask/servers/log4j2.properties");
    let mut java = Command::new("java");
    java.arg("-cp")
        .arg(maven::class_path(dist)?)
        .arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
    Ok(java)
}

fn properties(dir: &Path, port: u16, controller: u16) -> String {
    format!(
        "\
# Written by cargo xtask; changes are lost.
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={data}
# Topics are made by `larder topics apply`; a misspelt name is an error, not a new topic.
auto.create.topics.enable=false
# The default of 3 s only delays the first member of every group.
group.initial.rebalance.delay.ms=0
# There is one broker.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
",
        data = dir.join("data").display()
    )
}
