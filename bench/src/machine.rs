//! What a run was measured on.

use std::{fs, process::Command, thread};

use anyhow::Result;
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};
use testkit::servers::workspace;

use crate::processes;

/// The machine, what runs on it, and what was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    cpu: String,
    memory_gb: u64,
    kernel: String,
    kafka: String,
    postgres: String,
}

impl Machine {
    pub(crate) async fn look() -> Result<Self> {
        let mut postgres = PgConnection::connect(&testkit::servers().database_url).await?;
        let version = sqlx::query_scalar("SHOW server_version")
            .fetch_one(&mut postgres)
            .await?;
        postgres.close().await?;
        let kilobytes: u64 = value("/proc/meminfo", "MemTotal")
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or_default();
        Ok(Self {
            cores: thread::available_parallelism()?.get(),
            cpu: value("/proc/cpuinfo", "model name"),
            memory_gb: kilobytes.div_ceil(1 << 20),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            kafka: kafka(),
            postgres: version,
        })
    }
}

/// The revision of the checkout, with a plus where files differ from it.
pub(crate) fn revision() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").current_dir(workspace()).args(args).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        ".",
        ":!bench/results",
        ":!docs",
    ]);
    match (git(&["rev-parse", "--short=10", "HEAD"]), changed) {
        (Ok(revision), Ok(changed)) if changed.is_empty() => revision,
        (Ok(revision), _) => format!("{revision}+"),
        (Err(_), _) => String::new(),
    }
}

/// The version in the name of the library it runs from.
fn kafka() -> String {
    let running = processes::running();
    let home = running["kafka_home"].as_str().unwrap_or_default();
    let entries = fs::read_dir(format!("{home}/libs")).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .find_map(|name| Some(name.strip_prefix("kafka-clients-")?.strip_suffix(".jar")?.to_owned()))
        .unwrap_or_default()
}

/// The first value of this name in a file of lines with a colon.
fn value(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}
