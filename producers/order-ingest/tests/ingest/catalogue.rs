//! What changes in Postgres is seen here.

use serde_json::json;
use testkit::wait_until;

use crate::shop::{PATIENCE, Shop};

#[tokio::test]
async fn a_change_of_the_catalogue_is_seen() {
    let shop = Shop::open().await;
    let placed = shop.post("/orders", &shop.burger()).await;
    assert_eq!(placed.body["total_minor"], 1250);

    change(
        &shop,
        "UPDATE products SET price_minor = 1300 WHERE reference = 'burger'",
    )
    .await;
    wait_until("the new price", PATIENCE, async || {
        shop.post("/orders", &shop.burger()).await.body["total_minor"] == 1300
    })
    .await;

    let dora = json!({"customer_id": "dora", "items": [{"product_id": "burger", "quantity": 1}]});
    assert_eq!(shop.post("/orders", &dora).await.code(), "unknown_customer");
    change(
        &shop,
        "INSERT INTO customers (merchant_id, reference, name) SELECT merchant_id, 'dora', 'Dora' FROM merchants",
    )
    .await;
    wait_until("the new customer", PATIENCE, async || {
        shop.post("/orders", &dora).await.status == 202
    })
    .await;

    change(&shop, "UPDATE products SET active = false WHERE reference = 'burger'").await;
    wait_until("the product to be gone", PATIENCE, async || {
        shop.post("/orders", &shop.burger()).await.code() == "product_inactive"
    })
    .await;

    change(&shop, "UPDATE api_keys SET revoked_at = now()").await;
    wait_until("the key to be revoked", PATIENCE, async || {
        shop.get("/stock").await.status == 401
    })
    .await;
    shop.close().await;
}

#[tokio::test]
async fn a_change_that_is_never_told_is_seen_when_the_entry_is_old() {
    let shop = Shop::open_with(|config| config.limits.catalogue_age = std::time::Duration::from_millis(50)).await;
    assert_eq!(shop.post("/orders", &shop.burger()).await.body["total_minor"], 1250);
    change(&shop, "ALTER TABLE products DISABLE TRIGGER catalogue_changed").await;
    change(
        &shop,
        "UPDATE products SET price_minor = 1300 WHERE reference = 'burger'",
    )
    .await;
    wait_until("the new price", PATIENCE, async || {
        shop.post("/orders", &shop.burger()).await.body["total_minor"] == 1300
    })
    .await;
    shop.close().await;
}

async fn change(shop: &Shop, sql: &'static str) {
    sqlx::query(sql).execute(shop.env.store.pool()).await.unwrap();
}
