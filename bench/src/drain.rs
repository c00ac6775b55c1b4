//! Draining a backlog with the real `larder stock`, until every outcome is stored and published.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use schemas::topics::{ORDER_CONFIRMED, STOCK_REJECTED, STOCK_RESERVED};
use serde::Serialize;
use testkit::Env;

use crate::{backlog, limit, processes};

/// What to drain.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Orders in the backlog
    #[arg(long, default_value_t = 500_000)]
    orders: u64,
    /// Merchants they are spread over, evenly
    #[arg(long, default_value_t = 1000)]
    merchants: i64,
    /// Partitions of every topic
    #[arg(long, default_value_t = 12)]
    partitions: i32,
    /// What the orders are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The `larder` to run; that of this build's folder unless said otherwise
    #[arg(long)]
    larder: Option<PathBuf>,
}

/// What was measured, all in one run.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    orders: u64,
    /// From the first record applied to the last outcome published.
    orders_per_s: f64,
    /// The same topic, read and decoded only.
    read_decode_per_s: f64,
    /// One by the other.
    of_read_decode: f64,
    /// How fast the backlog was written.
    written_per_s: f64,
    cpu_us_per_order: Cpu,
    rss_mb: f64,
}

/// Processor time per order, by who used it.
#[derive(Debug, Serialize)]
struct Cpu {
    processor: f64,
    postgres: f64,
    kafka: f64,
}

/// The processes whose time is counted, by the names `cargo xtask servers` gives them.
struct Servers {
    postgres: Option<u32>,
    kafka: Option<u32>,
}

pub(crate) async fn run(args: &Args) -> Result<Figures> {
    let env = Env::with_partitions(args.partitions).await;
    let catalogue = backlog::catalogue(&env, args.merchants).await?;
    let written_per_s = backlog::write(&env, &catalogue, args.orders, args.seed).await?;
    eprintln!("{} orders written", args.orders);
    let read_decode_per_s = limit::read_and_decode(&env, args.partitions, args.orders)?;
    eprintln!("read and decoded at {read_decode_per_s:.0}/s");

    let servers = Servers::find();
    let before = (servers.cpu(), Instant::now());
    let mut larder = start(args, &env)?;
    let drained = wait(&env, args.orders, &mut larder).await;
    let elapsed = before.1.elapsed();
    let (cpu, rss_mb) = (
        processes::cpu_seconds(larder.id()),
        processes::peak_rss_mib(larder.id()),
    );
    let (postgres, kafka) = servers.cpu();
    larder.kill()?;
    larder.wait()?;
    let busy = drained?;
    check(&env, args.orders).await?;
    env.drop_database().await;
    eprintln!("drained in {busy:.2?}, {elapsed:.2?} with the start");

    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
    let orders = args.orders as f64;
    let each = |seconds: f64| seconds * 1e6 / orders;
    let orders_per_s = orders / busy.as_secs_f64();
    Ok(Figures {
        orders: args.orders,
        orders_per_s,
        read_decode_per_s,
        of_read_decode: orders_per_s / read_decode_per_s,
        written_per_s,
        cpu_us_per_order: Cpu {
            processor: each(cpu),
            postgres: each(postgres - before.0.0),
            kafka: each(kafka - before.0.1),
        },
        rss_mb,
    })
}

impl Servers {
    fn find() -> Self {
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

    fn cpu(&self) -> (f64, f64) {
        let of = |pid: Option<u32>| pid.map_or(f64::NAN, processes::cpu_seconds);
        (of(self.postgres), of(self.kafka))
    }
}

fn start(args: &Args, env: &Env) -> Result<Child> {
    let larder = match &args.larder {
        Some(larder) => larder.clone(),
        None => std::env::current_exe()?.with_file_name("larder"),
    };
    ensure!(
        larder.is_file(),
        "there is no {}: run `cargo build --release` first",
        larder.display()
    );
    Command::new(&larder)
        .arg("stock")
        .envs(env.variables())
        .env("LARDER_ADMIN_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", larder.display()))
}

/// Waits until every order is applied and published; how long that took from the first one applied.
async fn wait(env: &Env, orders: u64, larder: &mut Child) -> Result<Duration> {
    let mut first = None;
    loop {
        if let Some(status) = larder.try_wait()? {
            bail!("larder stock ended ({status}): see its log above");
        }
        // The rows say what is applied; what is published shows there within a second of idleness, so the topics are asked.
        let applied: i64 = sqlx::query_scalar("SELECT coalesce(sum(order_created_next), 0)::int8 FROM shards")
            .fetch_one(env.store.pool())
            .await?;
        if applied > 0 {
            first.get_or_insert_with(Instant::now);
        }
        if u64::try_from(applied)? >= orders && told(env).await >= orders {
            return Ok(first.map_or(Duration::ZERO, |at| at.elapsed()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Orders whose last word is on its topic.
async fn told(env: &Env) -> u64 {
    let mut told = 0;
    for topic in [&ORDER_CONFIRMED, &STOCK_REJECTED] {
        told += env.ends(&env.names().topic(topic)).await.iter().sum::<i64>();
    }
    u64::try_from(told).unwrap_or_default()
}

/// A rate of wrong results is no rate: every order has one row, and what was told adds up.
async fn check(env: &Env, orders: u64) -> Result<()> {
    let (rows, confirmed): (i64, i64) =
        sqlx::query_as("SELECT count(*), count(*) FILTER (WHERE status = 'confirmed') FROM orders")
            .fetch_one(env.store.pool())
            .await?;
    ensure!(u64::try_from(rows)? == orders, "{rows} order rows for {orders} orders");
    let reserved: i64 = env.ends(&env.names().topic(&STOCK_RESERVED)).await.iter().sum();
    ensure!(
        reserved == confirmed,
        "{reserved} reservations told, {confirmed} orders confirmed"
    );
    let taken: i64 = sqlx::query_scalar(
        "SELECT sum(i.full_level - s.on_hand)::int8 FROM stock s JOIN ingredients i USING (merchant_id, ingredient_id)",
    )
    .fetch_one(env.store.pool())
    .await?;
    let demanded: i64 = sqlx::query_scalar(
        "SELECT sum(d)::int8 FROM (SELECT (SELECT sum(demand[n]) FROM generate_series(2, cardinality(demand), 2) n) AS d FROM orders) x",
    )
    .fetch_one(env.store.pool())
    .await?;
    ensure!(
        taken == demanded,
        "{taken} taken from stock, {demanded} demanded by the orders"
    );
    Ok(())
}
