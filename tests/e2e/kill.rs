//! The stock-processor is killed in the middle of its work, and nothing is lost, doubled or told differently.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    process::{Child, Stdio},
    time::Duration,
};

use schemas::{
    Event,
    events::{Notify, OrderConfirmed, StockRejected, StockReserved},
};
use serde_json::Value;
use store::stock_levels;
use stream::header;
use testkit::wait_until;

use crate::larder::{Larder, Services};

const ORDERS: usize = 20_000;
const MERCHANTS: usize = 40;
/// Every product takes 10 of the first ingredient, and there are so many times 10 of each.
const BURGERS_EACH: usize = 300;
const PATIENCE: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread")]
async fn orders_have_one_outcome_each_though_the_processor_is_killed_three_times() {
    let mut larder = Larder::start(Services::WithoutStock).await;
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let (keys, accepted) = (path("keys"), path("accepted"));
    let (merchants, level) = (MERCHANTS.to_string(), (BURGERS_EACH * 10).to_string());
    let seed = [
        "seed",
        "--merchants",
        &merchants,
        "--products",
        "3",
        "--ingredients",
        "5",
        "--lines",
        "4",
    ];
    larder.command(&[&seed[..], &["--level", &level, "--keys", &keys]].concat());

    let orders = ORDERS.to_string();
    let load = [
        "load",
        "--url",
        &larder.url,
        "--targets",
        &keys,
        "--count",
        &orders,
        "--record",
        &accepted,
    ];
    let mut load = larder.binary(&load).stdout(Stdio::null()).spawn().unwrap();
    for decided in [3_000, 8_000, 13_000] {
        let mut stock = processor(&larder);
        wait_for_orders(&larder, decided).await;
        stock.kill().unwrap();
        stock.wait().unwrap();
        eprintln!(
            "killed with {} orders decided",
            larder.env.count("SELECT count(*) FROM orders").await
        );
    }
    let mut stock = processor(&larder);
    let load = tokio::task::spawn_blocking(move || load.wait().unwrap());
    assert!(load.await.unwrap().success());
    wait_for_orders(&larder, ORDERS).await;
    terminate(&stock);
    // It has told everything when it ends well.
    assert!(
        tokio::task::spawn_blocking(move || stock.wait().unwrap())
            .await
            .unwrap()
            .success()
    );

    let accepted: HashSet<String> = std::fs::read_to_string(accepted)
        .unwrap()
        .lines()
        .map(order_id)
        .collect();
    assert_eq!(accepted.len(), ORDERS);
    assert_eq!(
        larder.env.count("SELECT count(*) FROM orders").await,
        i64::try_from(ORDERS).unwrap()
    );

    let reserved = told::<StockReserved>(&larder).await;
    let confirmed = told::<OrderConfirmed>(&larder).await;
    let rejected = told::<StockRejected>(&larder).await;
    let alerts = told::<Notify>(&larder).await;
    let reserved_ids = once_each(reserved.iter().map(|event| event.order_id.to_string()).collect());
    let confirmed_ids = once_each(confirmed.iter().map(|event| event.order_id.to_string()).collect());
    let rejected_ids = once_each(rejected.iter().map(|event| event.order_id.to_string()).collect());
    assert_eq!(reserved_ids, confirmed_ids);
    assert!(confirmed_ids.is_disjoint(&rejected_ids));
    assert_eq!(
        confirmed_ids.union(&rejected_ids).cloned().collect::<HashSet<_>>(),
        accepted
    );
    assert_eq!(confirmed_ids.len(), MERCHANTS * BURGERS_EACH);
    let stored = larder
        .env
        .count("SELECT count(*) FROM orders WHERE status = 'confirmed'")
        .await;
    assert_eq!(stored, i64::try_from(confirmed_ids.len()).unwrap());
    assert_eq!(
        larder.env.count("SELECT count(*) FROM alerts").await,
        i64::try_from(alerts.len()).unwrap()
    );
    once_each(alerts.iter().map(|event| event.ingredient_id).collect());

    let mut taken: HashMap<i64, i64> = HashMap::new();
    for part in reserved.iter().flat_map(|event| &event.demand) {
        *taken.entry(part.ingredient_id.get()).or_default() += part.amount.get();
    }
    for merchant in reserved.iter().map(|event| event.merchant_id).collect::<HashSet<_>>() {
        for ingredient in stock_levels::list(&larder.env.store, merchant).await.unwrap() {
            let taken = taken.get(&ingredient.ingredient_id.get()).copied().unwrap_or_default();
            let left = ingredient.threshold.full_level.get() - taken;
            assert_eq!(
                (ingredient.stock.on_hand.get(), ingredient.stock.reserved.get()),
                (left, 0)
            );
        }
    }
    larder.stop().await;
}

/// The real binary. Small batches, so that a kill meets many of them; a short session, so that the next one starts soon.
fn processor(larder: &Larder) -> Child {
    let mut stock = larder.binary(&["stock"]);
    stock
        .env("STOCK_BATCH_RECORDS", "200")
        .env("STOCK_SESSION_TIMEOUT_S", "6");
    stock
        .env("LARDER_ADMIN_LISTEN", "127.0.0.1:0")
        .env("LARDER_LOG", "warn")
        .spawn()
        .unwrap()
}

/// SIGTERM, as a deployment sends it.
fn terminate(child: &Child) {
    let kill = std::process::Command::new("kill").arg(child.id().to_string()).status();
    assert!(kill.unwrap().success());
}

async fn wait_for_orders(larder: &Larder, count: usize) {
    let count = i64::try_from(count).unwrap();
    wait_until(&format!("{count} orders to be decided"), PATIENCE, async || {
        larder.env.count("SELECT count(*) FROM orders").await >= count
    })
    .await;
}

fn order_id(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap();
    line["order_id"].as_str().unwrap().to_owned()
}

/// The events of a topic without their repeats, each of which must have the same bytes as the first.
async fn told<E: Event>(larder: &Larder) -> Vec<E> {
    let mut first: HashMap<String, Vec<u8>> = HashMap::new();
    let mut events = Vec::new();
    let mut repeats = 0;
    for (record, event) in larder.env.events::<E>().await {
        let id = header(&record.headers, "ce_id").unwrap().to_owned();
        let bytes = record.value.unwrap();
        match first.get(&id) {
            None => {
                first.insert(id, bytes);
                events.push(event);
            }
            Some(before) => {
                assert_eq!(*before, bytes, "event {id} of {} was told differently", E::TOPIC.name);
                repeats += 1;
            }
        }
    }
    eprintln!("{}: {} events, {repeats} repeats", E::TOPIC.name, events.len());
    events
}

/// All of these as a set, if none is there twice.
fn once_each<T: Eq + Hash>(all: Vec<T>) -> HashSet<T> {
    let count = all.len();
    let set: HashSet<T> = all.into_iter().collect();
    assert_eq!(set.len(), count, "something was told under two ids");
    set
}
