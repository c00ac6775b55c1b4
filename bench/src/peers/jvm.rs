//! The peers that run on a JVM: Kafka Streams and Flink.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio::process::Command;

use super::{
    build::Built,
    program::{Program, Ran},
    truth::{Level, Truth},
    work::{PeerDatabase, Work},
};
use crate::{drain, processes::Servers};

/// Flink wants these, on every Java from 17 on.
const OPENED: [&str; 11] = [
    "lang",
    "util",
    "util.concurrent",
    "util.concurrent.atomic",
    "util.concurrent.locks",
    "lang.reflect",
    "net",
    "io",
    "nio",
    "time",
    "text",
];

/// What Flink took.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Flink {
    pub(crate) orders_per_s_cold: f64,
    /// The better of two runs after the cold one, in the same JVM.
    pub(crate) orders_per_s_warm: f64,
    cold: Ran,
    /// The better one first.
    warm: Vec<Ran>,
}

/// Kafka Streams, with stock in its state; with the orders in it as well, as rows are kept elsewhere, or without.
pub(crate) async fn kafka_streams(built: &Built, work: &Work, truth: &Truth, keep_orders: bool) -> Result<Ran> {
    let run = if keep_orders {
        "kafka-streams"
    } else {
        "kafka-streams-stock"
    };
    let scratch = built.scratch(run)?;
    let mut command = Command::new("java");
    command
        .args(["-Xms2g", "-Xmx2g", "-XX:+UseParallelGC", "-cp"])
        .arg(built.class_path("kafka-streams"))
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
        .arg("larder.peers.kstreams.Main")
        .envs(work.variables(run).await?)
        .env("PEER_KEEP_ORDERS", keep_orders.to_string())
        .env("PEER_SCRATCH", &scratch);
    let servers = Servers::find();
    work.create_topics(&work.topics(run)).await?;
    drain::quiet(&work.env, work.orders).await?;
    let mut program = Program::start("kafka-streams", &mut command)?;
    let ran = program.run(run, servers).await?;
    if keep_orders {
        let rows = program.fact("rows_confirmed").await?;
        let count = |key: &str| rows[key].as_i64().context("no count of rows");
        truth.check_rows(run, count("rows_confirmed")?, count("rows_rejected")?)?;
    }
    program.end().await?;
    truth.check_events(work, run).await?;
    truth.check_levels(run, &levels(&scratch.join("levels.tsv"))?)?;
    work.delete_topics(run).await?;
    fs::remove_dir_all(&scratch)?;
    Ok(ran)
}

/// Flink with Postgres behind it: the same job three times in one JVM, or but once.
pub(crate) async fn flink(built: &Built, work: &Work, truth: &Truth, cold_only: bool) -> Result<Flink> {
    let scratch = built.scratch("flink")?;
    let database = PeerDatabase::new().await?;
    let mut command = Command::new("java");
    command
        .args(["-Xms3g", "-Xmx3g", "-XX:+UseParallelGC", "-XX:MaxDirectMemorySize=512m"])
        .args(OPENED.map(|package| format!("--add-opens=java.base/java.{package}=ALL-UNNAMED")))
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
        .arg("-cp")
        .arg(built.class_path("flink"))
        .arg("larder.peers.flink.Main")
        .envs(work.variables("flink").await?)
        .env("PEER_JDBC_URL", database.jdbc()?)
        .env("PEER_SCRATCH", &scratch);
    let servers = Servers::find();
    let mut program = Program::start("flink", &mut command)?;
    let mut rans = Vec::new();
    for name in ["cold", "warm-1", "warm-2"] {
        let run = format!("flink.{name}");
        work.create_topics(&work.topics(&run)).await?;
        drain::quiet(&work.env, work.orders).await?;
        rans.push(program.run(name, servers).await?);
        check_tables(&run, &database, truth).await?;
        truth.check_events(work, &run).await?;
        work.delete_topics(&run).await?;
        if cold_only {
            break;
        }
    }
    program.end().await?;
    database.drop(work).await?;
    fs::remove_dir_all(&scratch)?;
    let cold = rans.remove(0);
    rans.sort_by(|one, other| other.orders_per_s.total_cmp(&one.orders_per_s));
    Ok(Flink {
        orders_per_s_cold: cold.orders_per_s,
        orders_per_s_warm: rans.first().map_or(f64::NAN, |best| best.orders_per_s),
        cold,
        warm: rans,
    })
}

async fn check_tables(run: &str, database: &PeerDatabase, truth: &Truth) -> Result<()> {
    let (confirmed, rejected) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE status = 'confirmed'), count(*) FILTER (WHERE status = 'rejected') FROM orders",
    )
    .fetch_one(&database.pool)
    .await?;
    truth.check_rows(run, confirmed, rejected)?;
    let rows: Vec<(i64, i64, i64, bool)> =
        sqlx::query_as("SELECT merchant_id, ingredient_id, on_hand, told_low FROM stock")
            .fetch_all(&database.pool)
            .await?;
    let held = rows
        .into_iter()
        .map(|(merchant, ingredient, on_hand, low)| ((merchant, ingredient), Level { on_hand, low }))
        .collect();
    truth.check_levels(run, &held)
}

/// The levels that a peer wrote into a file.
fn levels(file: &Path) -> Result<HashMap<(i64, i64), Level>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    text.lines()
        .map(|line| {
            let mut fields = line.split('\t');
            let mut next = || fields.next().context("a line that is too short");
            let which = (next()?.parse()?, next()?.parse()?);
            let (on_hand, low) = (next()?.parse()?, next()?.parse()?);
            Ok((which, Level { on_hand, low }))
        })
        .collect()
}
