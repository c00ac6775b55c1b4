//! What processes use, as Linux counts it.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::Value;

use crate::figure::{float, rounded};

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
        let said = running();
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

    /// Processor time of Postgres and of Kafka so far, in seconds; none where they are somewhere else.
    pub(crate) fn cpu(&self) -> (Option<f64>, Option<f64>) {
        (self.postgres.map(cpu_seconds), self.kafka.map(cpu_seconds))
    }

    /// Waits until they rest from what was before: what is measured next is not to pay for it.
    pub(crate) async fn settle(&self) {
        const LOOK: Duration = Duration::from_millis(500);
        let until = Instant::now() + Duration::from_secs(10);
        let total = || {
            let (postgres, kafka) = self.cpu();
            postgres.unwrap_or_default() + kafka.unwrap_or_default()
        };
        let mut before = total();
        while Instant::now() < until {
            tokio::time::sleep(LOOK).await;
            let now = total();
            if now - before < 0.1 * LOOK.as_secs_f64() {
                break;
            }
            before = now;
        }
    }
}

/// What `cargo xtask` has written down of the servers that are used here; nothing where it did not start them.
pub(crate) fn running() -> Value {
    let used = testkit::servers().kafka;
    let mut instances = ["servers", "servers-test", "up/servers"]
        .into_iter()
        .filter_map(|folder| {
            let text = fs::read(testkit::servers::target().join(folder).join("servers.json")).ok()?;
            serde_json::from_slice::<Value>(&text).ok()
        });
    instances
        .find(|running| running["kafka"] == used.as_str())
        .unwrap_or_default()
}

/// Processor time used from one look to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    servers: Servers,
    before: (Option<f64>, Option<f64>),
    /// What the processor had used before.
    own: f64,
}

/// Processor time per order in microseconds, by who used it; none where it is on another machine.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Cpu {
    pub(crate) processor: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kafka: Option<f64>,
}

impl Meter {
    /// Begins to count for a processor that has used so many seconds.
    pub(crate) fn start(servers: Servers, own: f64) -> Self {
        Self {
            servers,
            before: servers.cpu(),
            own,
        }
    }

    /// What each of so many orders has cost since, with a processor that has used so many seconds by now.
    pub(crate) fn per_order(&self, own: f64, orders: u64) -> Cpu {
        let each = |seconds: f64| rounded(seconds * 1e6 / float(orders), 3);
        let since = |now: Option<f64>, before: Option<f64>| Some(each(now? - before?));
        let (postgres, kafka) = self.servers.cpu();
        Cpu {
            processor: each(own - self.own),
            postgres: since(postgres, self.before.0),
            kafka: since(kafka, self.before.1),
        }
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
    memory_mib(pid, "VmHWM:")
}

/// The memory a process holds now, in MiB.
pub(crate) fn rss_mib(pid: u32) -> f64 {
    memory_mib(pid, "VmRSS:")
}

fn memory_mib(pid: u32, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    rounded(kib / 1024.0, 1)
}
