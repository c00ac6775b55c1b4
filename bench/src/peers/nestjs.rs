//! The peer that runs on Node: `NestJS` with kafkajs and `TypeORM`, as an order service and a processing service.

use std::{collections::HashMap, fs, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use schemas::topics::ORDER_CREATED;
use serde::Serialize;
use tokio::{process::Command, task::JoinSet, time::Instant};

use super::{
    build::Built,
    program::{Program, Ran},
    truth::{Level, Truth},
    work::{PeerDatabase, Work},
};
use crate::{
    drain,
    figure::per_second,
    http::{self, Connection},
    larder,
    percentiles::Percentiles,
    processes::Servers,
};

/// How the processing service is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// As kafkajs and `TypeORM` come.
    Default,
    /// All partitions at once, each by a worker of its own.
    PartitionsAtOnce,
    /// That, and an order's ingredients taken by one statement in SQL.
    OneStatement,
}

/// What POST /order took at so many connections.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Posted {
    connections: usize,
    pub(crate) req_per_s: f64,
    #[serde(flatten)]
    latency: Percentiles,
}

/// Drains the backlog.
pub(crate) async fn processing(built: &Built, work: &Work, truth: &Truth, variant: Variant) -> Result<Ran> {
    let run = match variant {
        Variant::Default => "nestjs",
        Variant::PartitionsAtOnce => "nestjs-partitions-at-once",
        Variant::OneStatement => "nestjs-one-statement",
    };
    let database = PeerDatabase::new().await?;
    seed(built, work, run, &database).await?;
    let servers = Servers::find();
    work.create_topics(&work.topics(run)).await?;
    drain::quiet(&work.env, work.orders).await?;
    let mut command = node(built, work, run, &database, "processing/main.js").await?;
    if variant != Variant::Default {
        command.env("PEER_PARTITIONS_AT_ONCE", work.partitions.to_string());
    }
    if variant == Variant::OneStatement {
        command.env("PEER_ONE_STATEMENT", "true");
    }
    let mut program = Program::start("nestjs", &mut command)?;
    let ran = program.run(run, servers).await?;
    program.stop().await?;
    check_tables(run, &database, truth).await?;
    truth.check_events(work, run).await?;
    work.delete_topics(run).await?;
    database.drop(work).await?;
    Ok(ran)
}

/// Takes orders over HTTP for so long at each number of connections.
pub(crate) async fn posts(built: &Built, work: &Work, time: Duration, connections: &[usize]) -> Result<Vec<Posted>> {
    let run = "nestjs-post";
    let database = PeerDatabase::new().await?;
    seed(built, work, run, &database).await?;
    let topic = format!("{}{}", work.prefix(run), ORDER_CREATED.name);
    work.create_topics(std::slice::from_ref(&topic)).await?;
    let address = larder::free_address()?;
    let mut command = node(built, work, run, &database, "order/main.js").await?;
    command
        .env("PEER_ORDERS_TOPIC", &topic)
        .env("PEER_PORT", address.port().to_string());
    let mut program = Program::start("nestjs", &mut command)?;
    program.fact("begin").await?;
    let requests = Arc::new(requests(work)?);
    let mut accepted = 0;
    let mut posted = Vec::new();
    // Warmed up, so that its code is compiled and its prices are there.
    accepted += post(address, &requests, 32, time.min(Duration::from_secs(4))).await?.1;
    for count in connections {
        drain::quiet(&work.env, work.orders).await?;
        let (figures, taken) = post(address, &requests, *count, time).await?;
        eprintln!("nestjs POST /order: {figures:?}");
        posted.push(figures);
        accepted += taken;
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM orders")
        .fetch_one(&database.pool)
        .await?;
    let events: i64 = work.env.ends(&topic).await.iter().sum();
    ensure!(
        (u64::try_from(rows)?, u64::try_from(events)?) == (accepted, accepted),
        "{accepted} orders were accepted, {rows} stored and {events} published"
    );
    program.stop().await?;
    work.delete_topics(run).await?;
    database.drop(work).await?;
    Ok(posted)
}

/// Fills the peer's tables; not timed.
async fn seed(built: &Built, work: &Work, run: &str, database: &PeerDatabase) -> Result<()> {
    let status = node(built, work, run, database, "tools/seed.js")
        .await?
        .status()
        .await?;
    ensure!(
        status.success(),
        "the tables of nestjs cannot be filled: see its log above"
    );
    Ok(())
}

async fn node(built: &Built, work: &Work, run: &str, database: &PeerDatabase, main: &str) -> Result<Command> {
    let mut command = Command::new("node");
    command
        .arg(built.nestjs().join("dist").join(main))
        .current_dir(built.nestjs())
        .envs(work.variables(run).await?)
        .env("PEER_DATABASE_URL", database.url())
        .env("PEER_SCHEMAS", testkit::servers::workspace().join("schemas"))
        .env("NODE_ENV", "production")
        .env("KAFKAJS_NO_PARTITIONER_WARNING", "1");
    Ok(command)
}

async fn check_tables(run: &str, database: &PeerDatabase, truth: &Truth) -> Result<()> {
    let (confirmed, rejected) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE status = 'confirmed'), count(*) FILTER (WHERE status = 'rejected')
         FROM processed_orders",
    )
    .fetch_one(&database.pool)
    .await?;
    truth.check_rows(run, confirmed, rejected)?;
    let rows: Vec<(i32, i32, i64, bool)> = sqlx::query_as("SELECT merchant_id, id, stock, notified FROM ingredients")
        .fetch_all(&database.pool)
        .await?;
    let held = rows
        .into_iter()
        .map(|(merchant, id, on_hand, low)| ((merchant.into(), id.into()), Level { on_hand, low }))
        .collect();
    truth.check_levels(run, &held)
}

/// Orders of 1 to 4 items, drawn as those of the backlog.
fn requests(work: &Work) -> Result<Vec<Vec<u8>>> {
    let text = fs::read_to_string(work.catalogue.join("products.tsv"))?;
    let mut products: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let merchant = fields.next().context("a row without a merchant")?;
        let product = fields.next().context("a row without a product")?;
        products.entry(merchant).or_default().push(product);
    }
    let mut merchants: Vec<(&str, Vec<&str>)> = products.into_iter().collect();
    merchants.sort_unstable();
    let mut random = Rng::with_seed(1);
    let request = |random: &mut Rng| {
        let (merchant, products) = &merchants[random.usize(..merchants.len())];
        let items: Vec<String> = (0..random.usize(1..=4))
            .map(|_| {
                let product = products[random.usize(..products.len())];
                format!(r#"{{"product_id":{product},"quantity":{}}}"#, random.u8(1..=3))
            })
            .collect();
        let items = items.join(",");
        let body = format!(r#"{{"merchant_id":{merchant},"customer_id":1,"items":[{items}]}}"#);
        http::request("POST", "/order", &[], &body)
    };
    Ok((0..10_000).map(|_| request(&mut random)).collect())
}

/// Each connection sends its next order once the last one is answered. Also returns how many were accepted.
async fn post(
    address: SocketAddr,
    requests: &Arc<Vec<Vec<u8>>>,
    connections: usize,
    time: Duration,
) -> Result<(Posted, u64)> {
    let mut clients = JoinSet::new();
    let end = Instant::now() + time;
    for client in 0..connections {
        let requests = Arc::clone(requests);
        clients.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut took = Vec::new();
            let mut next = client * requests.len() / connections;
            while Instant::now() < end {
                let sent = Instant::now();
                let answer = connection.exchange(&requests[next % requests.len()]).await?;
                ensure!(answer.status == 201, "nestjs answered {}", answer.status);
                took.push(sent.elapsed());
                next += 1;
            }
            Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(client) = clients.join_next().await {
        took.extend(client??);
    }
    let accepted = took.len() as u64;
    let posted = Posted {
        connections,
        req_per_s: per_second(accepted, time),
        latency: Percentiles::of(took)?,
    };
    Ok((posted, accepted))
}
