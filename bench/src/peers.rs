//! What people use today, with the same orders on the same servers in the same session; `bench/peers` holds the programs,
//! and says what favours whom.
//!
//! Each peer first does a small backlog with little stock, so that its rejections and alerts are checked as well, and then
//! the measured one. Each result is compared with [`truth`], order by order.

mod build;
mod jvm;
mod nestjs;
mod program;
mod truth;
mod work;

use anyhow::{Result, ensure};
use serde::Serialize;

use self::{
    jvm::Flink,
    nestjs::{Posted, Variant},
    program::Ran,
    truth::Truth,
    work::{Stock, Work},
};
use crate::{
    drain::{self, Drained},
    figure::rounded,
    load::Load,
};

/// Orders, merchants and stock of the backlog by which rejections and alerts are checked.
const PROOF: (u64, i64, i64) = (6000, 10, 2500);
/// Orders for `NestJS`, which would take a quarter of an hour for a million.
const NESTJS_ORDERS: u64 = 20_000;

/// What was measured, all in one session.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    orders: u64,
    larder: Larder,
    kafka_streams: KafkaStreams,
    flink: Flink,
    nestjs: Nestjs,
    /// Larder's rate by theirs.
    larder_by: Ratios,
}

#[derive(Debug, Serialize)]
struct Larder {
    /// The mean of a drain before the peers and one after them.
    orders_per_s: f64,
    runs: [Drained; 2],
}

#[derive(Debug, Serialize)]
struct KafkaStreams {
    #[serde(flatten)]
    ran: Ran,
    /// Without the orders in its state: they are on the topics alone and cannot be asked for by id.
    stock_only: Ran,
}

#[derive(Debug, Serialize)]
struct Nestjs {
    orders: u64,
    /// All partitions at once, the better of what its settings give.
    orders_per_s: f64,
    req_per_s_32: f64,
    req_per_s_256: f64,
    default: Ran,
    partitions_at_once: Ran,
    /// Ingredients taken by one statement in SQL past `TypeORM`.
    one_statement: Ran,
    posts: Vec<Posted>,
}

#[derive(Debug, Serialize)]
struct Ratios {
    kafka_streams: f64,
    kafka_streams_stock_only: f64,
    flink_cold: f64,
    flink_warm: f64,
    nestjs: f64,
    nestjs_one_statement: f64,
}

pub(crate) async fn run(load: &Load) -> Result<Figures> {
    let built = build::all()?;
    prove(load, &built).await?;

    let work = Work::new(load, &built, load.orders, load.merchants(), Stock::Plenty).await?;
    let before = drain::drain(load, &work.env, work.partitions, work.since).await?;
    let truth = Truth::of(&work).await?;
    let flink = jvm::flink(&built, &work, &truth, false).await?;
    let kafka_streams = jvm::kafka_streams(&built, &work, &truth, true).await?;
    let stock_only = jvm::kafka_streams(&built, &work, &truth, false).await?;
    drop(truth);
    work.end().await?;

    let nestjs = nestjs(load, &built).await?;

    let work = Work::new(load, &built, load.orders, load.merchants(), Stock::Plenty).await?;
    let after = drain::drain(load, &work.env, work.partitions, work.since).await?;
    work.end().await?;

    let orders_per_s = rounded(before.orders_per_s.midpoint(after.orders_per_s), 0);
    let by = |theirs: f64| rounded(orders_per_s / theirs, 2);
    Ok(Figures {
        orders: load.orders,
        larder_by: Ratios {
            kafka_streams: by(kafka_streams.orders_per_s),
            kafka_streams_stock_only: by(stock_only.orders_per_s),
            flink_cold: by(flink.orders_per_s_cold),
            flink_warm: by(flink.orders_per_s_warm),
            nestjs: by(nestjs.orders_per_s),
            nestjs_one_statement: by(nestjs.one_statement.orders_per_s),
        },
        larder: Larder {
            orders_per_s,
            runs: [before, after],
        },
        kafka_streams: KafkaStreams {
            ran: kafka_streams,
            stock_only,
        },
        flink,
        nestjs,
    })
}

async fn nestjs(load: &Load, built: &build::Built) -> Result<Nestjs> {
    let orders = load.orders.min(NESTJS_ORDERS);
    let work = Work::new(load, built, orders, load.merchants(), Stock::Plenty).await?;
    let truth = Truth::of(&work).await?;
    let default = nestjs::processing(built, &work, &truth, Variant::Default).await?;
    let partitions_at_once = nestjs::processing(built, &work, &truth, Variant::PartitionsAtOnce).await?;
    let one_statement = nestjs::processing(built, &work, &truth, Variant::OneStatement).await?;
    let posts = nestjs::posts(built, &work, load.time(), &[32, 256]).await?;
    work.end().await?;
    Ok(Nestjs {
        orders,
        orders_per_s: default.orders_per_s.max(partitions_at_once.orders_per_s),
        req_per_s_32: posts[0].req_per_s,
        req_per_s_256: posts[1].req_per_s,
        default,
        partitions_at_once,
        one_statement,
        posts,
    })
}

/// Lets every peer do orders of which some are rejected, by merchants whose stock runs low.
async fn prove(load: &Load, built: &build::Built) -> Result<()> {
    let (orders, merchants, level) = PROOF;
    let work = Work::new(load, built, orders, merchants, Stock::Of(level)).await?;
    let truth = Truth::of(&work).await?;
    let (confirmed, rejected, alerts) = truth.counts();
    eprintln!("to be proven: {confirmed} orders confirmed, {rejected} rejected, {alerts} alerts");
    ensure!(
        confirmed > 0 && rejected > 0 && alerts > 0,
        "the proof's backlog does not make both rejections and alerts: change PROOF"
    );
    jvm::flink(built, &work, &truth, true).await?;
    jvm::kafka_streams(built, &work, &truth, true).await?;
    for variant in [Variant::PartitionsAtOnce, Variant::OneStatement] {
        nestjs::processing(built, &work, &truth, variant).await?;
    }
    work.end().await
}
