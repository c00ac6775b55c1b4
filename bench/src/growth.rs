//! Whether an order costs the same when `orders` is full already, and with more partitions: drains one after the other
//! into the same database.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use sqlx::AssertSqlSafe;
use testkit::Env;
use uuid::Uuid;

use crate::{
    backlog::{self, Catalogue},
    corner,
    drain::{self, Drained},
    figure::{float, rounded},
    load::Load,
};

/// Partitions of the drain that has many of them.
const MANY_PARTITIONS: i32 = 96;
/// What a row takes on disk with its index entry and what is being written around it, amply.
const BYTES_PER_ROW: u64 = 700;

/// What was measured, all in one run.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// The last drain, into the fullest table, by the first.
    of_first: f64,
    drains: Vec<Grown>,
}

#[derive(Debug, Serialize)]
struct Grown {
    rows_before: u64,
    #[serde(flatten)]
    drained: Drained,
}

pub(crate) async fn run(load: &Load) -> Result<Figures> {
    let most = load.growth_rows.iter().max().copied().unwrap_or_default();
    let base = Env::with_partitions(1).await;
    room_for(&base, most).await?;
    let catalogue = backlog::catalogue(&base, load.merchants()).await?;
    let mut rows = 0;
    let mut drains = Vec::new();
    for partitions in [load.partitions, MANY_PARTITIONS] {
        drains.push(one(load, &base, &catalogue, partitions, &mut rows).await?);
    }
    let mut template = Template::of(&base, rows, most).await?;
    let mut growth: Vec<u64> = load.growth_rows.iter().copied().filter(|rows| *rows > 0).collect();
    growth.sort_unstable();
    for wanted in growth {
        template.grow(&base, &mut rows, wanted).await?;
        drains.push(one(load, &base, &catalogue, load.partitions, &mut rows).await?);
    }
    corner::leave(base).await?;
    let rate = |grown: Option<&Grown>| grown.map_or(f64::NAN, |grown| grown.drained.orders_per_s);
    Ok(Figures {
        of_first: rounded(rate(drains.last()) / rate(drains.first()), 3),
        drains,
    })
}

/// A drain from new topics into the database there is, which then has more rows.
async fn one(load: &Load, base: &Env, catalogue: &Catalogue, partitions: i32, rows: &mut u64) -> Result<Grown> {
    let topics = Env::with_partitions(partitions).await;
    let env = Env {
        kafka: topics.kafka.clone(),
        registry: topics.registry.clone(),
        database: base.database.clone(),
        store: base.store.clone(),
    };
    topics.drop_database().await;
    // Progress on the topics of before.
    sqlx::query("DELETE FROM shards").execute(env.store.pool()).await?;
    let since = Uuid::now_v7();
    backlog::write(&env, catalogue, load.orders, load.seed).await?;
    eprintln!("{rows} rows before, {partitions} partitions");
    let grown = Grown {
        rows_before: *rows,
        drained: drain::drain(load, &env, partitions, since).await?,
    };
    corner::delete_topics(&env).await?;
    *rows += load.orders;
    Ok(grown)
}

/// Rows that were drained, to make more of their kind: in each copy the orders are so many hours older, and the oldest
/// copy is made first, as if they had come one after the other.
struct Template {
    /// The tables that `orders` consists of.
    leaves: Vec<String>,
    columns: Vec<String>,
    rows: u64,
    hours: i64,
}

impl Template {
    /// Keeps the rows there are; copies of them may come to `most`.
    async fn of(env: &Env, rows: u64, most: u64) -> Result<Self> {
        let leaves: Vec<String> =
            sqlx::query_scalar("SELECT relid::text FROM pg_partition_tree('orders') WHERE isleaf")
                .fetch_all(env.store.pool())
                .await?;
        for leaf in &leaves {
            let keep = format!("CREATE UNLOGGED TABLE template_{leaf} AS SELECT * FROM {leaf}");
            sqlx::query(AssertSqlSafe(keep)).execute(env.store.pool()).await?;
        }
        let columns = "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'orders'";
        Ok(Self {
            leaves,
            columns: sqlx::query_scalar(columns).fetch_all(env.store.pool()).await?,
            rows,
            hours: i64::try_from(most.div_ceil(rows) + 1)?,
        })
    }

    /// Brings `orders` to so many rows.
    async fn grow(&mut self, env: &Env, rows: &mut u64, wanted: u64) -> Result<()> {
        let copies = wanted.saturating_sub(*rows) / self.rows;
        let rest = wanted.saturating_sub(*rows) % self.rows;
        for share in (0..copies).map(|_| self.rows).chain((rest > 0).then_some(rest)) {
            // Two at a time: as many as there are cores where little else is done.
            for pair in self.leaves.chunks(2) {
                let other = async {
                    match pair.get(1) {
                        Some(leaf) => self.add(env, leaf, share).await,
                        None => Ok(0),
                    }
                };
                let (one, other) = tokio::try_join!(self.add(env, &pair[0], share), other)?;
                *rows += one + other;
            }
            self.hours -= 1;
            eprintln!("{rows} of {wanted} rows");
        }
        // What autovacuum would otherwise do while we measure.
        sqlx::query("VACUUM (ANALYZE) orders").execute(env.store.pool()).await?;
        Ok(())
    }

    /// Adds a copy of a leaf, or a leaf's part of fewer rows than there are.
    async fn add(&self, env: &Env, leaf: &str, share: u64) -> Result<u64> {
        let value = |column: &String| {
            match column.as_str() {
            "order_id" => {
                "(lpad(to_hex(('x' || left(id, 12))::bit(48)::int8 - $1::int8 * 3600000), 12, '0') || substr(id, 13))::uuid"
                    .to_owned()
            }
            "placed_at" | "decided_at" => format!("{column} - $1::int8 * interval '1 hour'"),
            other => other.to_owned(),
        }
        };
        let insert = format!(
            "INSERT INTO {leaf} ({})
             SELECT {} FROM template_{leaf}, replace(order_id::text, '-', '') AS id
             LIMIT (SELECT ceil(count(*) * $2::float8)::int8 FROM template_{leaf})",
            self.columns.join(", "),
            self.columns.iter().map(value).collect::<Vec<_>>().join(", "),
        );
        let part = float(share) / float(self.rows);
        let added = sqlx::query(AssertSqlSafe(insert))
            .bind(self.hours)
            .bind(part)
            .execute(env.store.pool())
            .await?;
        Ok(added.rows_affected())
    }
}

/// Whether the disk of Postgres has room for so many rows.
async fn room_for(env: &Env, rows: u64) -> Result<()> {
    let folder: String = sqlx::query_scalar("SHOW data_directory")
        .fetch_one(env.store.pool())
        .await?;
    let df = Command::new("df")
        .args(["--output=avail", "--block-size=1", &folder])
        .output()?;
    let said = String::from_utf8_lossy(&df.stdout);
    let free: u64 = said
        .lines()
        .nth(1)
        .and_then(|line| line.trim().parse().ok())
        .with_context(|| format!("cannot tell how much room {folder} has: is Postgres on another machine?"))?;
    let needed = rows * BYTES_PER_ROW;
    ensure!(
        free > needed,
        "{rows} rows take {} GB and {folder} has {} GB free: make room, or ask for fewer by --growth-rows",
        needed / 1_000_000_000,
        free / 1_000_000_000
    );
    Ok(())
}
