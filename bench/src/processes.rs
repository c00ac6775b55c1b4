//! What processes use, as Linux counts it.

use std::{collections::BTreeMap, fs};

/// `/proc` counts time in these: 100 a second on every Linux we know.
const TICKS_PER_SECOND: f64 = 100.0;

/// The servers whose time is counted, by the names `cargo xtask servers` gives their processes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Servers {
    postgres: Option<u32>,
    kafka: Option<u32>,
}

impl Servers {
    pub(crate) fn find() -> Self {
        let said = fs::read_to_string(testkit::servers::target().join("servers/servers.json")).unwrap_or_default();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        let pid = |name: &str| {
            let found = said["processes"]
                .as_array()?
                .iter()
                .find(|process| process["name"] == name)?;
            u32::try_from(found["pid"].as_u64()?).ok()
        };
        Self {
            postgres: pid("postgres"),
            kafka: pid("kafka"),
        }
    }

    /// Processor time of Postgres and of Kafka so far, in seconds; not a number where they are somewhere else.
    pub(crate) fn cpu(&self) -> (f64, f64) {
        let of = |pid: Option<u32>| pid.map_or(f64::NAN, cpu_seconds);
        (of(self.postgres), of(self.kafka))
    }
}

/// Processor time of a process and all its descendants, those that have ended and were waited for included, in
/// seconds.
pub(crate) fn cpu_seconds(root: u32) -> f64 {
    let mut parents: BTreeMap<u32, u32> = BTreeMap::new();
    let mut ticks: BTreeMap<u32, f64> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // The command is in parentheses and may hold anything: count from behind it.
        let Some((_, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |at: usize| {
            fields
                .get(at)
                .and_then(|field| field.parse::<f64>().ok())
                .unwrap_or_default()
        };
        parents.insert(
            pid,
            fields.get(1).and_then(|field| field.parse().ok()).unwrap_or_default(),
        );
        ticks.insert(pid, number(11) + number(12) + number(13) + number(14));
    }
    let belongs = |pid: &u32| {
        let mut pid = *pid;
        loop {
            if pid == root {
                return true;
            }
            match parents.get(&pid) {
                Some(parent) if *parent > 1 => pid = *parent,
                _ => return false,
            }
        }
    };
    ticks
        .iter()
        .filter(|(pid, _)| belongs(pid))
        .map(|(_, ticks)| ticks)
        .sum::<f64>()
        / TICKS_PER_SECOND
}

/// The most memory a process has held, in MiB.
pub(crate) fn peak_rss_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    kib / 1024.0
}
