//! Which benches there are, and several of them one after the other.

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{drain, growth, ingest, latency, load::Load, peers};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Bench {
    /// Drain a backlog of orders until every outcome is stored and published
    Drain,
    /// Take orders over HTTP
    Ingest,
    /// From an order's POST to its last word, and to the mail it causes
    Latency,
    /// Drain into tables that are full already, and from more partitions
    Growth,
    /// What people use today, with the same orders on the same servers
    Peers,
}

/// The benches that were asked for, each once.
pub(crate) fn chosen(named: &[Bench], peers: bool) -> Vec<Bench> {
    let mut benches = named.to_vec();
    if peers {
        benches.push(Bench::Peers);
    } else if named.is_empty() {
        benches.extend([Bench::Drain, Bench::Ingest, Bench::Latency]);
    }
    benches.sort();
    benches.dedup();
    benches
}

/// Runs benches up to the first that fails. The figures of those before it are of use all the same.
pub(crate) async fn all(benches: &[Bench], load: &Load) -> (Map<String, Value>, Result<()>) {
    let mut figures = Map::new();
    for bench in benches {
        eprintln!("== {}", bench.name());
        match measure(*bench, load).await {
            Ok(measured) => figures.insert(bench.name().to_owned(), measured),
            Err(error) => return (figures, Err(error.context(format!("{} failed", bench.name())))),
        };
    }
    (figures, Ok(()))
}

async fn measure(bench: Bench, load: &Load) -> Result<Value> {
    fn json(figures: impl Serialize) -> Result<Value> {
        serde_json::to_value(figures).context("figures that are no JSON")
    }
    match bench {
        Bench::Drain => json(drain::run(load).await?),
        Bench::Ingest => json(ingest::run(load).await?),
        Bench::Latency => json(latency::run(load).await?),
        Bench::Growth => json(growth::run(load).await?),
        Bench::Peers => json(peers::run(load).await?),
    }
}

impl Bench {
    /// Its key among the figures.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Ingest => "ingest",
            Self::Latency => "latency",
            Self::Growth => "growth",
            Self::Peers => "peers",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bench::*, chosen};

    #[test]
    fn each_bench_is_measured_once_and_the_standard_set_when_none_is_named() {
        assert_eq!(chosen(&[], false), [Drain, Ingest, Latency]);
        assert_eq!(chosen(&[], true), [Peers]);
        assert_eq!(chosen(&[Latency, Drain, Latency], true), [Drain, Latency, Peers]);
    }
}
