//! Kafka or Postgres is away: the answer is quick and true.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::json;
use testkit::{Proxy, servers, wait_until};

use crate::shop::{PATIENCE, Shop, send};

/// What a client is promised, and a little for the machine the test runs on.
const PROMISED: Duration = Duration::from_millis(2200);

#[tokio::test]
async fn while_kafka_is_away_an_order_is_answered_503_within_two_seconds() {
    let line = Proxy::start(servers().kafka).await;
    line.refuse();
    let shop = Shop::start(|config| config.kafka.bootstrap_servers = line.addr().to_string()).await;
    let answers = join_all((0..64).map(|n| {
        let shop = &shop;
        async move {
            let started = Instant::now();
            let answer = match n % 2 {
                0 => shop.post("/orders", &shop.burger()).await,
                _ => shop.order("k-1", &shop.burger()).await,
            };
            (answer, started.elapsed())
        }
    }))
    .await;
    for (answer, took) in answers {
        assert_eq!((answer.status, answer.code()), (503, "not_acknowledged"));
        assert_eq!(answer.header("retry-after"), "1");
        assert!(took < PROMISED, "{took:?}");
    }
    assert!(shop.context.health.missing().contains_key("ingest_kafka"));
    assert_eq!(shop.records().await, 0);

    // Back again: what failed left no answer behind, and what was given up is not sent late.
    line.pass();
    wait_until("kafka to be back", PATIENCE, async || {
        shop.order("k-1", &shop.burger()).await.status == 202
    })
    .await;
    assert_eq!(shop.records().await, 1, "only the order that was answered 202");
    wait_until("readiness", PATIENCE, async || shop.context.health.is_ready()).await;
    shop.close().await;
}

#[tokio::test]
async fn a_full_queue_is_answered_at_once() {
    let line = Proxy::start(servers().kafka).await;
    line.refuse();
    let shop = Shop::start(|config| {
        config.kafka.bootstrap_servers = line.addr().to_string();
        config.limits.queue_records = 4;
    })
    .await;
    // Learn the catalogue before it matters how long an answer takes.
    assert_eq!(
        shop.post("/orders", &json!({"customer_id": "anna", "items": []}))
            .await
            .status,
        422
    );
    let answers = join_all((0..32).map(|_| async { shop.post("/orders", &shop.burger()).await })).await;
    let shed = answers.iter().filter(|answer| answer.code() == "not_accepted").count();
    assert_eq!(shed, 28, "four wait, and nobody else is kept waiting");
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 503 && answer.header("retry-after") == "1")
    );
    shop.close().await;
}

#[tokio::test]
async fn while_postgres_is_away_known_merchants_are_served() {
    let line = Proxy::start(address(&servers().database_url)).await;
    let shop = Shop::open_with(|config| {
        let url = config.database.url.expose_secret();
        config.database.url = url.replace(&address(url), &line.addr().to_string()).into();
    })
    .await;
    assert_eq!(shop.post("/orders", &shop.burger()).await.status, 202);
    line.refuse();
    wait_until("the change to be noticed", PATIENCE, async || {
        shop.metric("larder_ingest_catalogue_listening") < 0.5
    })
    .await;
    assert_eq!(shop.post("/orders", &shop.burger()).await.status, 202);
    assert_eq!(
        shop.order("k-1", &shop.burger()).await.status,
        202,
        "a key is not looked up, and that is all"
    );
    let read = shop.get("/stock").await;
    assert_eq!(
        (read.status, read.code(), read.header("retry-after")),
        (503, "database_unavailable", "1")
    );
    let stranger = shop.anonymous(Method::GET, "/stock").bearer_auth("larder_unknown");
    assert_eq!(
        send(stranger).await.code(),
        "database_unavailable",
        "not known to be wrong"
    );

    sqlx::query("UPDATE products SET price_minor = 1300 WHERE reference = 'burger'")
        .execute(shop.env.store.pool())
        .await
        .unwrap();
    line.pass();
    wait_until("what changed meanwhile", PATIENCE, async || {
        shop.post("/orders", &shop.burger()).await.body["total_minor"] == 1300
    })
    .await;
    wait_until("reads to work", PATIENCE, async || {
        shop.get("/stock").await.status == 200
    })
    .await;
    shop.close().await;
}

/// `host:port` out of a URL of Postgres.
fn address(url: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split('/').next().unwrap().to_owned()
}
