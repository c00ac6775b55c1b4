//! The same key is the same order.

use domain::ids::OrderId;
use futures::future::join_all;
use reqwest::Method;
use schemas::events::OrderCreated;
use serde_json::json;

use crate::shop::{OTHER_KEY, Shop, send};

#[tokio::test]
async fn the_same_key_and_body_is_one_order_and_one_answer() {
    let shop = Shop::open().await;
    let answers = join_all((0..32).map(|_| async { shop.order("k-1", &shop.burger()).await })).await;
    let id = OrderId::from_key(shop.merchant.merchant_id, "k-1").to_string();
    for answer in &answers {
        assert_eq!((answer.status, answer.id()), (202, id.as_str()));
        assert_eq!(answer.body, answers[0].body);
    }
    let events = shop.env.events::<OrderCreated>().await;
    assert_eq!(events.len(), 1);
    assert!(events[0].1.request_hash.is_some());

    // Another body is another order and so needs another key; the alias asks for the same and gets the same.
    let mut other = shop.burger();
    other["items"][0]["quantity"] = json!(2);
    let answer = shop.order("k-1", &other).await;
    assert_eq!((answer.status, answer.code()), (422, "idempotency_key_reused"));
    let alias = json!({
        "productId": shop.merchant.products["burger"], "quantity": 1, "customerId": shop.merchant.customers["anna"],
    });
    let answer = send(
        shop.request(Method::POST, "/order")
            .header("idempotency-key", "k-1")
            .json(&alias),
    )
    .await;
    assert_eq!(
        (answer.status, answer.body["orderId"].as_str()),
        (202, Some(id.as_str()))
    );
    assert_eq!(shop.records().await, 1);
    shop.close().await;
}

#[tokio::test]
async fn another_merchants_key_of_the_same_name_is_another_order() {
    let shop = Shop::open().await;
    let mine = shop.order("k-1", &shop.burger()).await;
    let body = json!({"customer_id": "carl", "items": [{"product_id": "soup", "quantity": 1}]});
    let request = shop
        .anonymous(Method::POST, "/orders")
        .bearer_auth(OTHER_KEY)
        .header("idempotency-key", "k-1");
    let theirs = send(request.json(&body)).await;
    assert_eq!((mine.status, theirs.status), (202, 202));
    assert_ne!(mine.id(), theirs.id());
    shop.close().await;
}

#[tokio::test]
async fn an_order_that_postgres_has_is_not_placed_again() {
    let shop = Shop::open().await;
    // Learn what the request hashes to, then let the order be decided and this process forget it.
    let placed = shop.order("k-1", &shop.burger()).await;
    let hash = shop.env.events::<OrderCreated>().await[0].1.request_hash;
    let id = OrderId::from_key(shop.merchant.merchant_id, "k-2");
    sqlx::query(
        "INSERT INTO orders (merchant_id, order_id, customer_id, currency, total_minor, status, lines, demand,
             shortfalls, request_hash, placed_at, decided_at, source_partition, source_offset)
         VALUES ($1, $2, $3, 'EUR', 1250, 'confirmed', packed_longs(ARRAY[$4::bigint, 1, 1250]), '', '', $5, $6::timestamptz,
             now(), 0, 0)",
    )
    .bind(shop.merchant.merchant_id.get())
    .bind(id.get())
    .bind(shop.merchant.customers["anna"].get())
    .bind(shop.merchant.products["burger"].get())
    .bind(hash)
    .bind("2025-01-01T12:00:00.000001Z")
    .execute(shop.env.store.pool())
    .await
    .unwrap();

    let mut expected = placed.body.clone();
    expected["id"] = json!(id);
    expected["placed_at"] = json!("2025-01-01T12:00:00.000001Z");
    let again = shop.order("k-2", &shop.burger()).await;
    assert_eq!((again.status, &again.body), (202, &expected));
    let mut other = shop.burger();
    other["items"][0]["quantity"] = json!(2);
    assert_eq!(shop.order("k-2", &other).await.code(), "idempotency_key_reused");
    assert_eq!(shop.records().await, 1, "the first order, and nothing of the second");
    shop.close().await;
}

#[tokio::test]
async fn a_key_whose_order_was_refused_is_still_free() {
    let shop = Shop::open().await;
    let wrong = json!({"customer_id": "anna", "items": [{"product_id": "pizza", "quantity": 1}]});
    assert_eq!(shop.order("k-1", &wrong).await.code(), "unknown_product");
    assert_eq!(shop.order("k-1", &shop.burger()).await.status, 202);
    shop.close().await;
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let shop = Shop::open().await;
    for key in ["", "a b", &"k".repeat(256)] {
        let answer = shop.order(key, &shop.burger()).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid_idempotency_key"),
            "{key}"
        );
    }
    assert_eq!(shop.records().await, 0);
    shop.close().await;
}
