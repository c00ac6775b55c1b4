//! What was decided is read from Postgres, by its own merchant alone.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::shop::{OTHER_KEY, Shop, send};

#[tokio::test]
async fn stock_is_told_per_ingredient() {
    let shop = Shop::open().await;
    sqlx::query("UPDATE shelves SET on_hand = '{480}', reserved = '{20}', armed = 0 WHERE merchant_id = $1")
        .bind(shop.merchant.merchant_id.get())
        .execute(shop.env.store.pool())
        .await
        .unwrap();
    let answer = shop.get("/stock").await;
    assert_eq!(answer.status, 200);
    let onion = json!({
        "id": shop.merchant.ingredients["onion"], "reference": "onion", "name": "Onion", "unit": "g",
        "on_hand": 480, "reserved": 20, "available": 460, "full_level": 1000, "threshold_pct": 50, "alert": "raised",
    });
    assert_eq!(answer.body, json!({"ingredients": [onion]}));
    let theirs = send(shop.anonymous(Method::GET, "/stock").bearer_auth(OTHER_KEY)).await;
    assert_eq!(theirs.body["ingredients"][0]["alert"], "armed");
    shop.close().await;
}

#[tokio::test]
async fn a_decided_order_is_told_with_its_outcome() {
    let shop = Shop::open().await;
    let placed = shop.post("/orders", &shop.burger()).await;
    let onion = shop.merchant.ingredients["onion"];
    sqlx::query(
        "INSERT INTO orders (merchant_id, order_id, customer_id, currency, total_minor, status, reason, lines, demand,
             shortfalls, placed_at, decided_at, source_partition, source_offset)
         VALUES ($1, $2, $3, 'EUR', 1250, 'rejected', 'insufficient_stock', packed_longs(ARRAY[$4::bigint, 1, 1250]), '',
             packed_longs(ARRAY[$5::bigint, 20, 10]), $6::timestamptz, '2030-01-01T00:00:00Z', 0, 0)",
    )
    .bind(shop.merchant.merchant_id.get())
    .bind(Uuid::parse_str(placed.id()).unwrap())
    .bind(shop.merchant.customers["anna"].get())
    .bind(shop.merchant.products["burger"].get())
    .bind(onion.get())
    .bind(placed.body["placed_at"].as_str())
    .execute(shop.env.store.pool())
    .await
    .unwrap();
    let mut expected = placed.body.clone();
    expected["status"] = json!("rejected");
    expected["reason"] = json!("insufficient_stock");
    expected["shortfalls"] = json!([{"ingredient_id": onion, "needed": 20, "available": 10}]);
    expected["decided_at"] = json!("2030-01-01T00:00:00.000000Z");
    let read = shop.get(placed.header("location")).await;
    assert_eq!((read.status, read.body), (200, expected));

    let theirs = send(
        shop.anonymous(Method::GET, placed.header("location"))
            .bearer_auth(OTHER_KEY),
    )
    .await;
    assert_eq!((theirs.status, theirs.code()), (404, "order_not_found"));
    shop.close().await;
}

#[tokio::test]
async fn another_merchants_order_is_not_there_while_it_is_pending_either() {
    let shop = Shop::open().await;
    let placed = shop.post("/orders", &shop.burger()).await;
    let theirs = send(
        shop.anonymous(Method::GET, placed.header("location"))
            .bearer_auth(OTHER_KEY),
    )
    .await;
    assert_eq!((theirs.status, theirs.code()), (404, "order_not_found"));
    shop.close().await;
}
