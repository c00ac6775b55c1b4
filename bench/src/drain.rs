//! Draining a backlog with the real `larder stock`, until every outcome is stored and published; beside it, from the
//! same run and topic, what reading alone and what the floor pipeline reach.

use std::time::{Duration, Instant};

use anyhow::Result;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use schemas::topics::{ORDER_CONFIRMED, STOCK_REJECTED};
use serde::Serialize;
use testkit::Env;
use uuid::Uuid;

use crate::{
    backlog,
    check::Check,
    corner,
    figure::{per_second, rounded},
    floor::{self, Floor},
    larder::Service,
    limit,
    load::Load,
    processes::{self, Cpu, Meter, Servers},
};

/// What was measured, all in one run: the drain of the first number of merchants, drawn evenly, before all others.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    #[serde(flatten)]
    first: Beside,
    /// Every drain, the first included.
    loads: Vec<Beside>,
}

/// A drain beside its limits.
#[derive(Clone, Debug, Serialize)]
struct Beside {
    merchants: i64,
    /// How merchants are drawn: `even` or `zipf`.
    drawn: &'static str,
    #[serde(flatten)]
    drained: Drained,
    /// The same topic, read and decoded only.
    read_decode_per_s: f64,
    /// The same topic, read, decoded, stored and told, without stock: the better of a run before and one after.
    floor_per_s: f64,
    floor_cpu_us_per_order: Cpu,
    /// The drain by the floor.
    of_floor: f64,
    /// How fast the backlog was written.
    written_per_s: f64,
}

/// A drain.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Drained {
    orders: u64,
    partitions: i32,
    /// From the first orders applied to the last outcome published.
    pub(crate) orders_per_s: f64,
    pub(crate) cpu_us_per_order: Cpu,
    pub(crate) rss_mb: f64,
}

pub(crate) async fn run(load: &Load) -> Result<Figures> {
    let mut loads = Vec::new();
    for merchants in &load.merchants {
        loads.push(beside(load, *merchants, false).await?);
        if load.zipf {
            loads.push(beside(load, *merchants, true).await?);
        }
    }
    Ok(Figures {
        first: loads[0].clone(),
        loads,
    })
}

async fn beside(load: &Load, merchants: i64, zipf: bool) -> Result<Beside> {
    let env = Env::with_partitions(load.partitions).await;
    let since = Uuid::now_v7();
    let mut catalogue = backlog::catalogue(&env, merchants).await?;
    if zipf {
        catalogue = catalogue.by_zipf();
    }
    let written_per_s = backlog::write(&env, &catalogue, load.orders, load.seed).await?;
    eprintln!("{} orders of {merchants} merchants written", load.orders);
    let read_decode_per_s = limit::read_and_decode(&env, load.partitions, load.orders)?;
    eprintln!("read and decoded at {read_decode_per_s:.0}/s");
    let before = floor::run(&env, load.partitions, load.orders).await?;
    let drained = drain(load, &env, load.partitions, since).await?;
    let after = floor::run(&env, load.partitions, load.orders).await?;
    corner::leave(env).await?;
    let Floor {
        per_s: floor_per_s,
        cpu: floor_cpu_us_per_order,
    } = if before.per_s > after.per_s { before } else { after };
    Ok(Beside {
        merchants,
        drawn: if zipf { "zipf" } else { "even" },
        of_floor: rounded(drained.orders_per_s / floor_per_s, 3),
        drained,
        read_decode_per_s,
        floor_per_s,
        floor_cpu_us_per_order,
        written_per_s,
    })
}

/// Drains a backlog whose orders have ids from `since` on, and checks what came of it.
pub(crate) async fn drain(load: &Load, env: &Env, partitions: i32, since: Uuid) -> Result<Drained> {
    let orders = load.orders;
    let servers = Servers::find();
    let check = Check::before(env, since).await?;
    quiet(env, orders).await?;
    let ends = Ends::of(env, partitions)?;
    let meter = Meter::start(servers, 0.0);
    let mut larder = Service::start(load, env, "stock", &[])?;
    let orders_per_s = wait(env, orders, &ends, &mut larder).await?;
    let drained = Drained {
        orders,
        partitions,
        orders_per_s,
        cpu_us_per_order: meter.per_order(processes::cpu_seconds(larder.pid()), orders),
        rss_mb: processes::peak_rss_mib(larder.pid()),
    };
    drop(larder);
    eprintln!("drained at {orders_per_s:.0}/s");
    check.after(env, orders).await?;
    Ok(drained)
}

/// Fewer orders are a try, not a measurement.
const MEASURABLE: u64 = 10_000;

/// Waits until the servers have done what was left of before, so that so many orders do not pay for it.
pub(crate) async fn quiet(env: &Env, orders: u64) -> Result<()> {
    if orders >= MEASURABLE {
        sqlx::query("CHECKPOINT").execute(env.store.pool()).await?;
        Servers::find().settle().await;
    }
    Ok(())
}

/// Waits until every order is applied and published; how many a second that were from the first look that found some.
async fn wait(env: &Env, orders: u64, ends: &Ends, larder: &mut Service) -> Result<f64> {
    let mut first = None;
    let mut nothing = Instant::now();
    loop {
        larder.alive()?;
        let looked = Instant::now();
        // What is applied stands in the rows. What is published comes there a while later, so the topics are asked.
        let applied: i64 = sqlx::query_scalar("SELECT coalesce(sum(order_created_next), 0)::int8 FROM shards")
            .fetch_one(env.store.pool())
            .await?;
        let applied = u64::try_from(applied)?;
        if applied == 0 {
            nothing = looked;
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        let (before, at) = *first.get_or_insert((applied, Instant::now()));
        if applied >= orders {
            while ends.told()? < orders {
                larder.alive()?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // So few that the first look found all: they took no longer than since the look before.
            return Ok(match orders - before {
                0 => per_second(orders, nothing.elapsed()),
                rest => per_second(rest, at.elapsed()),
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How long the topics of last words are.
struct Ends {
    consumer: BaseConsumer,
    topics: [String; 2],
    partitions: i32,
}

impl Ends {
    fn of(env: &Env, partitions: i32) -> Result<Self> {
        Ok(Self {
            consumer: env.kafka.client().create()?,
            topics: [&ORDER_CONFIRMED, &STOCK_REJECTED].map(|topic| env.names().topic(topic)),
            partitions,
        })
    }

    /// Orders whose last word is on its topic.
    fn told(&self) -> Result<u64> {
        let mut told = 0;
        for topic in &self.topics {
            for partition in 0..self.partitions {
                let (_, end) = self
                    .consumer
                    .fetch_watermarks(topic, partition, Duration::from_secs(10))?;
                told += u64::try_from(end)?;
            }
        }
        Ok(told)
    }
}
