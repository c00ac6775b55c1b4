//! `larder load`: orders at a steady rate, and what came of them.
//!
//! The schedule does not wait for answers: an order's latency counts from the moment it was due, so a server that
//! stalls is charged for the orders it kept waiting.

mod measure;
mod target;

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use measure::{Measured, Outcome};
use service::Secret;
use target::{Target, Targets};
use tokio::{
    task::JoinSet,
    time::{Instant, interval_at, sleep_until},
};

/// Posts orders of one product and prints what came of them, each second and in all.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Base of the API: `http://host:port`
    #[arg(long, value_name = "URL")]
    url: String,
    /// The merchant's API key
    #[arg(
        long,
        env = "LARDER_API_KEY",
        hide_env_values = true,
        required_unless_present = "targets",
        value_name = "KEY"
    )]
    api_key: Option<Secret>,
    /// Who orders: an id, or the merchant's own reference
    #[arg(long, required_unless_present = "targets", value_name = "CUSTOMER")]
    customer: Option<String>,
    /// What is ordered: an id, or the merchant's own reference
    #[arg(long, required_unless_present = "targets", value_name = "PRODUCT")]
    product: Option<String>,
    /// Order at many merchants in turn instead: what `larder seed --keys` wrote
    #[arg(long, conflicts_with_all = ["api_key", "customer", "product"], value_name = "FILE")]
    targets: Option<PathBuf>,
    /// Orders a second; without it, as many as the connections take
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    rate: Option<u32>,
    /// How long; without it and without --count, until Ctrl-C
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    duration: Option<Duration>,
    /// How many orders, however long it takes
    #[arg(long, conflicts_with = "duration", value_name = "N")]
    count: Option<u64>,
    /// How many orders may be under way at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    connections: u32,
    /// File for every acknowledged order, a JSON line each
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// What the connections share.
struct Shared {
    targets: Targets,
    client: reqwest::Client,
    next: AtomicU64,
    end: u64,
    start: Instant,
    rate: Option<u32>,
    until: Option<Instant>,
    measured: Mutex<Measured>,
    record: Option<Mutex<BufWriter<File>>>,
}

impl Load {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let start = Instant::now();
        let connections = self.connections;
        let shared = Arc::new(self.shared(start)?);
        let mut posting = JoinSet::new();
        for _ in 0..connections {
            let shared = Arc::clone(&shared);
            posting.spawn(async move { shared.post_all().await });
        }
        let second = Duration::from_secs(1);
        let mut ticks = interval_at(start + second, second);
        let mut before = Measured::default();
        loop {
            tokio::select! {
                done = posting.join_next() => match done {
                    Some(done) => done??,
                    None => break,
                },
                _ = ticks.tick() => {
                    let now = shared.measured().clone();
                    println!("{}", now.since(&before).line(second));
                    before = now;
                }
                stop = tokio::signal::ctrl_c() => {
                    stop?;
                    posting.shutdown().await;
                }
            }
        }
        if let Some(record) = &shared.record {
            record.lock().unwrap_or_else(PoisonError::into_inner).flush()?;
        }
        let measured = shared.measured().clone();
        println!("in all: {}", measured.line(start.elapsed()));
        Ok(if measured.acked() == 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }

    fn shared(self, start: Instant) -> Result<Shared> {
        let targets = match (&self.targets, self.api_key, self.customer, self.product) {
            (Some(file), ..) => Targets::read(file, &self.url)?,
            (None, Some(key), Some(customer), Some(product)) => {
                Targets::one(&self.url, key.expose(), &customer, &product)
            }
            _ => anyhow::bail!("say where to order: --api-key, --customer and --product, or --targets"),
        };
        let create = |path: &PathBuf| {
            File::create(path).with_context(|| format!("cannot write the orders to {}", path.display()))
        };
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(usize::try_from(self.connections)?)
            .build()?;
        Ok(Shared {
            targets,
            client,
            next: AtomicU64::new(0),
            end: self.count.unwrap_or(u64::MAX),
            start,
            rate: self.rate,
            until: self.duration.map(|duration| start + duration),
            measured: Mutex::default(),
            record: self
                .record
                .as_ref()
                .map(create)
                .transpose()?
                .map(|file| Mutex::new(BufWriter::new(file))),
        })
    }
}

impl Shared {
    fn measured(&self) -> std::sync::MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes orders off the schedule until it ends.
    async fn post_all(&self) -> Result<()> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let due = match self.rate {
                Some(rate) => self.start + Duration::from_secs_f64(to_f64(number) / f64::from(rate)),
                None => Instant::now(),
            };
            if number >= self.end || self.until.is_some_and(|until| due >= until) {
                return Ok(());
            }
            sleep_until(due).await;
            let outcome = self.post(self.targets.of(number)).await?;
            self.measured().add(outcome, due.elapsed());
        }
    }

    async fn post(&self, target: &Target) -> Result<Outcome> {
        let request = self
            .client
            .post(&target.url)
            .header("authorization", &target.authorization);
        let request = request.header("content-type", "application/json").body(target.body());
        let Ok(answer) = request.send().await else {
            return Ok(Outcome::NoAnswer);
        };
        let status = answer.status().as_u16();
        // Read to its end, so that the connection can be used again.
        let Ok(body) = answer.bytes().await else {
            return Ok(Outcome::NoAnswer);
        };
        if status == 202
            && let Some(record) = &self.record
        {
            let order: serde_json::Value = serde_json::from_slice(&body).context("the answer is not JSON")?;
            let line = serde_json::json!({ "order_id": order["id"], "merchant_id": order["merchant_id"] });
            writeln!(record.lock().unwrap_or_else(PoisonError::into_inner), "{line}")?;
        }
        Ok(Outcome::Status(status))
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a schedule is exact enough to the 2^53rd order"
)]
fn to_f64(number: u64) -> f64 {
    number as f64
}
