//! Taking orders over HTTP: the real `larder ingest` on Kafka, and beside it the same handler without the produce.
//!
//! Each request carries its merchant's API key, is validated and priced, and counts when it is answered 202, which
//! means that all in-sync replicas hold it. Afterwards the topic must hold each of them once. Connections wait for
//! their answers (a closed loop); at half the rate of saturation orders come by the clock, and wait from when they
//! were due. The clock of the generator's runtime ticks in milliseconds, which that latency includes.

mod generator;
mod orders;
mod verify;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use generator::{Outcome, Plan};
use orders::Requests;
use serde::Serialize;
use testkit::Env;
use uuid::Uuid;

use crate::{
    corner,
    drain::quiet,
    figure::{float, milliseconds, per_second, rounded},
    larder::{self, Service},
    load::Load,
    processes::{self, Servers},
};

/// Connections of each measurement; the last is what the bars and the figures for scripts are about.
const CONNECTIONS: [u32; 3] = [1, 32, MOST];
const MOST: u32 = 256;
/// Not measured: caches fill, and Kafka's JVM compiles.
const WARM_UP: Duration = Duration::from_secs(3);
/// Not used by any two runs; no run sends as many.
const NUMBERS: u64 = 1 << 40;

/// What was measured, all in one run.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// Acknowledged orders a second at 256 connections.
    req_per_s: f64,
    /// The same without the produce.
    limit_per_s: f64,
    /// One by the other.
    of_limit: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    /// With an `Idempotency-Key` of its own on every order, each looked up in Postgres.
    keyed: Figure,
    /// Orders by the clock, at half the rate of saturation, over 256 connections.
    half: Figure,
    connections: Vec<Beside>,
    cpu_us_per_request: Cpu,
    idle_rss_mb: f64,
    rss_mb: f64,
    ready_ms: f64,
}

/// One measurement.
#[derive(Clone, Copy, Debug, Serialize)]
struct Figure {
    req_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
}

/// With and without the produce.
#[derive(Debug, Serialize)]
struct Beside {
    connections: u32,
    #[serde(flatten)]
    figure: Figure,
    limit: Figure,
}

/// Processor time per request at 256 connections, by who used it.
#[derive(Debug, Serialize)]
struct Cpu {
    ingest: f64,
    /// None where it is on another machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    kafka: Option<f64>,
    generator: f64,
}

/// A server to post to, and what it has acknowledged.
struct Server {
    service: Service,
    address: SocketAddr,
    requests: Arc<Requests>,
    runs: u64,
    accepted: Vec<Uuid>,
}

pub(crate) async fn run(load: &Load) -> Result<Figures> {
    let env = Env::with_partitions(load.partitions).await;
    let requests = Arc::new(Requests::make(&env, load).await?);
    quiet(&env, u64::MAX).await?;
    let plan = |connections| Plan {
        connections,
        time: load.time(),
        rate: None,
        keyed: false,
    };

    let (address, variables) = listen()?;
    let mut limit = Server::new(Service::start_ingest_limit(&env, &variables)?, address, &requests);
    limit.service.ready().await?;
    limit.warm_up().await?;
    let mut limits = Vec::new();
    for connections in CONNECTIONS {
        limits.push(limit.post(plan(connections)).await?.figure());
    }
    drop(limit);

    let (address, variables) = listen()?;
    let service = Service::start(load, &env, "ingest", &variables)?;
    let mut ingest = Server::new(service, address, &requests);
    let ready = ingest.service.ready().await?;
    let pid = ingest.service.pid();
    let idle_rss_mb = processes::rss_mib(pid);
    ingest.warm_up().await?;
    let mut connections = Vec::new();
    let mut last = None;
    for (connected, limit) in CONNECTIONS.into_iter().zip(limits) {
        let servers = Servers::find();
        let before = (processes::cpu_seconds(pid), servers.cpu().1);
        let outcome = ingest.post(plan(connected)).await?;
        let each = |seconds: f64| rounded(seconds * 1e6 / float(outcome.latency.len()), 3);
        last = Some(Cpu {
            ingest: each(processes::cpu_seconds(pid) - before.0),
            kafka: servers.cpu().1.zip(before.1).map(|(now, before)| each(now - before)),
            generator: each(outcome.cpu.as_secs_f64()),
        });
        connections.push(Beside {
            connections: connected,
            figure: outcome.figure(),
            limit,
        });
    }
    let (figure, limit) = connections
        .last()
        .map(|beside| (beside.figure, beside.limit))
        .context("nothing was measured")?;
    let half = Plan {
        rate: Some(figure.req_per_s / 2.0),
        ..plan(MOST)
    };
    let half = ingest.post(half).await?.figure();
    let keyed = Plan {
        keyed: true,
        ..plan(MOST)
    };
    let keyed = ingest.post(keyed).await?.figure();
    let rss_mb = processes::peak_rss_mib(pid);
    let accepted = std::mem::take(&mut ingest.accepted);
    drop(ingest);
    verify::stored(&env, accepted).await?;
    corner::leave(env).await?;
    Ok(Figures {
        req_per_s: figure.req_per_s,
        limit_per_s: limit.req_per_s,
        of_limit: rounded(figure.req_per_s / limit.req_per_s, 3),
        p50_ms: figure.p50_ms,
        p99_ms: figure.p99_ms,
        p999_ms: figure.p999_ms,
        keyed,
        half,
        connections,
        cpu_us_per_request: last.context("nothing was measured")?,
        idle_rss_mb: rounded(idle_rss_mb, 1),
        rss_mb: rounded(rss_mb, 1),
        ready_ms: milliseconds(ready),
    })
}

/// A place to listen, and the variable that says so.
fn listen() -> Result<(SocketAddr, [(&'static str, String); 1])> {
    let address = larder::free_address()?;
    Ok((address, [("LARDER_INGEST_LISTEN", address.to_string())]))
}

impl Server {
    fn new(service: Service, address: SocketAddr, requests: &Arc<Requests>) -> Self {
        Self {
            service,
            address,
            requests: Arc::clone(requests),
            runs: 0,
            accepted: Vec::new(),
        }
    }

    async fn warm_up(&mut self) -> Result<()> {
        let plan = Plan {
            connections: MOST,
            time: WARM_UP,
            rate: None,
            keyed: false,
        };
        self.post(plan).await.map(drop)
    }

    async fn post(&mut self, plan: Plan) -> Result<Outcome> {
        let posted = generator::post(self.address, &self.requests, plan, self.runs * NUMBERS).await;
        self.runs += 1;
        self.service.alive()?;
        let mut outcome = posted?;
        self.accepted.append(&mut outcome.accepted);
        eprintln!("{plan}: {}", outcome.figure());
        Ok(outcome)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections", self.connections)?;
        if let Some(rate) = self.rate {
            write!(f, ", {rate:.0}/s by the clock")?;
        }
        f.write_str(if self.keyed { ", with Idempotency-Keys" } else { "" })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            req_per_s,
            p50_ms,
            p99_ms,
            p999_ms,
        } = self;
        write!(f, "{req_per_s}/s, p50 {p50_ms} ms, p99 {p99_ms} ms, p99.9 {p999_ms} ms")
    }
}

impl Outcome {
    fn figure(&self) -> Figure {
        let at = |quantile| rounded(float(self.latency.value_at_quantile(quantile)) / 1e3, 3);
        Figure {
            req_per_s: per_second(self.latency.len(), self.took),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
        }
    }
}
