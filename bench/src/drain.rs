//! Draining a backlog with the real `larder stock`, until every outcome is stored and published.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use schemas::topics::{ORDER_CONFIRMED, STOCK_REJECTED, STOCK_RESERVED};
use serde::Serialize;
use testkit::Env;

use crate::{backlog, larder::Service, limit, load::Load, processes, processes::Servers};

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

pub(crate) async fn run(load: &Load) -> Result<Figures> {
    let env = Env::with_partitions(load.partitions).await;
    let catalogue = backlog::catalogue(&env, load.merchants()).await?;
    let written_per_s = backlog::write(&env, &catalogue, load.orders, load.seed).await?;
    eprintln!("{} orders written", load.orders);
    let read_decode_per_s = limit::read_and_decode(&env, load.partitions, load.orders)?;
    eprintln!("read and decoded at {read_decode_per_s:.0}/s");

    let servers = Servers::find();
    let before = (servers.cpu(), Instant::now());
    let mut larder = Service::start(load, &env, "stock", &[])?;
    let drained = wait(&env, load.orders, &mut larder).await;
    let elapsed = before.1.elapsed();
    let (cpu, rss_mb) = (
        processes::cpu_seconds(larder.pid()),
        processes::peak_rss_mib(larder.pid()),
    );
    let (postgres, kafka) = servers.cpu();
    drop(larder);
    let busy = drained?;
    check(&env, load.orders).await?;
    env.drop_database().await;
    eprintln!("drained in {busy:.2?}, {elapsed:.2?} with the start");

    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
    let orders = load.orders as f64;
    let each = |seconds: f64| seconds * 1e6 / orders;
    let orders_per_s = orders / busy.as_secs_f64();
    Ok(Figures {
        orders: load.orders,
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

/// Waits until every order is applied and published; how long that took from the first one applied.
async fn wait(env: &Env, orders: u64, larder: &mut Service) -> Result<Duration> {
    let mut first = None;
    loop {
        larder.alive()?;
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
