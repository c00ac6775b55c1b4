//! Stock changed by hand.

use reqwest::Method;
use schemas::events::{AdjustmentKind, StockAdjusted};
use serde_json::json;
use stream::header;
use uuid::Uuid;

use crate::shop::{OTHER_KEY, PATIENCE, Shop, send};

#[tokio::test]
async fn an_adjustment_is_on_its_topic_and_is_pending_until_it_is_decided() {
    let shop = Shop::open().await;
    let onion = shop.merchant.ingredients["onion"];
    let path = format!("/ingredients/{onion}/adjustments");
    let waste = json!({"kind": "waste", "amount": 30, "reason": "fell down"});
    let placed = shop.post(&path, &waste).await;
    assert_eq!(placed.status, 202, "{}", placed.body);
    assert_eq!(placed.header("location"), format!("/adjustments/{}", placed.id()));
    for (field, value) in [
        ("ingredient_id", json!(onion)),
        ("kind", json!("waste")),
        ("amount", json!(30)),
        ("level", json!(null)),
        ("reason", json!("fell down")),
        ("status", json!("pending")),
    ] {
        assert_eq!(placed.body[field], value, "{field}");
    }
    let events = shop.env.wait_for_events::<StockAdjusted>(1, PATIENCE).await;
    let (record, event) = &events[0];
    assert_eq!(record.key, Some(shop.merchant.merchant_id.to_string().into_bytes()));
    assert_eq!(header(&record.headers, "ce_id"), Some(placed.id()));
    assert_eq!(
        (event.kind, event.amount, event.level),
        (AdjustmentKind::Waste, Some(-30), None)
    );
    assert_eq!(shop.get(placed.header("location")).await.body, placed.body);
    let theirs = send(
        shop.anonymous(Method::GET, placed.header("location"))
            .bearer_auth(OTHER_KEY),
    )
    .await;
    assert_eq!((theirs.status, theirs.code()), (404, "adjustment_not_found"));

    sqlx::query(
        "INSERT INTO stock_movements (merchant_id, movement_id, ingredient_id, kind, amount, on_hand, reason,
             requested_at, decided_at)
         VALUES ($1, $2, $3, 'waste', -30, 970, 'fell down', now(), now())",
    )
    .bind(shop.merchant.merchant_id.get())
    .bind(Uuid::parse_str(placed.id()).unwrap())
    .bind(onion.get())
    .execute(shop.env.store.pool())
    .await
    .unwrap();
    let applied = shop.get(placed.header("location")).await.body;
    assert_eq!(
        (&applied["status"], &applied["changed_by"]),
        (&json!("applied"), &json!(-30))
    );
    assert_eq!((&applied["amount"], &applied["on_hand"]), (&json!(30), &json!(970)));
    shop.close().await;
}

#[tokio::test]
async fn a_recount_states_a_level_and_a_restock_an_amount() {
    let shop = Shop::open().await;
    let path = "/ingredients/onion/adjustments";
    let restock = json!({"kind": "restock", "amount": 1000, "reason": "delivery"});
    let recount = json!({"kind": "recount", "level": 0, "reason": "inventory"});
    assert_eq!(shop.post(path, &restock).await.status, 202);
    assert_eq!(shop.post(path, &recount).await.status, 202);
    let events = shop.env.events::<StockAdjusted>().await;
    let said: Vec<_> = events
        .iter()
        .map(|(_, event)| (event.kind, event.amount, event.level))
        .collect();
    assert_eq!(
        said,
        [
            (AdjustmentKind::Restock, Some(1000), None),
            (AdjustmentKind::Recount, None, Some(0))
        ]
    );
    shop.close().await;
}

#[tokio::test]
async fn an_adjustment_that_makes_no_sense_is_refused() {
    let shop = Shop::open().await;
    let sound = json!({"kind": "restock", "amount": 1, "reason": "r"});
    for name in ["0", "pizza", "%ff", &"9".repeat(30)] {
        let answer = shop.post(&format!("/ingredients/{name}/adjustments"), &sound).await;
        assert_eq!((answer.status, answer.code()), (404, "ingredient_not_found"), "{name}");
    }
    let both = json!({"kind": "restock", "amount": 1, "level": 1, "reason": "r"});
    let answer = shop.post("/ingredients/onion/adjustments", &both).await;
    assert_eq!((answer.status, answer.code()), (422, "invalid_request"));
    assert_eq!(answer.body["errors"][0]["pointer"], "/level");
    let keyed = shop
        .request(Method::POST, "/ingredients/onion/adjustments")
        .header("idempotency-key", "k");
    assert_eq!(send(keyed.json(&sound)).await.code(), "invalid_idempotency_key");
    assert_eq!(shop.get("/adjustments/nothing").await.code(), "adjustment_not_found");
    assert_eq!(shop.records().await, 0);
    shop.close().await;
}
