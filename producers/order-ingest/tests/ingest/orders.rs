//! An order that is accepted.

use domain::ids::Reference;
use reqwest::Method;
use schemas::{events::OrderCreated, topics::ORDER_CREATED};
use serde_json::json;
use stream::header;

use crate::shop::{KEY, PATIENCE, Shop, send};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn an_accepted_order_is_on_its_topic_as_it_was_answered() {
    let shop = Shop::open().await;
    let (anna, burger) = (shop.merchant.customers["anna"], shop.merchant.products["burger"]);
    let body = json!({"customer_id": anna, "items": [{"product_id": burger, "quantity": 2}, {"product_id": "fries", "quantity": 1}]});
    let request = shop
        .request(Method::POST, "/orders")
        .header("traceparent", TRACE)
        .header("x-request-id", "client-42");
    let answer = send(request.json(&body)).await;

    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(answer.header("location"), format!("/orders/{}", answer.id()));
    assert_eq!(answer.header("x-request-id"), "client-42");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_ne!(answer.header("content-length"), "");
    let mut expected = json!({
        "status": "pending", "merchant_id": shop.merchant.merchant_id, "customer_id": anna, "currency": "EUR",
        "items": [
            {"product_id": burger, "quantity": 2, "unit_price_minor": 1250, "line_total_minor": 2500},
            {"product_id": shop.merchant.products["fries"], "quantity": 1, "unit_price_minor": 400, "line_total_minor": 400},
        ],
        "total_minor": 2900, "decided_at": null, "reason": null, "shortfalls": [],
    });
    expected["id"] = answer.body["id"].clone();
    expected["placed_at"] = answer.body["placed_at"].clone();
    assert_eq!(answer.body, expected);

    let events = shop.env.wait_for_events::<OrderCreated>(1, PATIENCE).await;
    let [(record, event)] = events.as_slice() else {
        panic!("one order, one record: {events:?}")
    };
    let merchant = shop.merchant.merchant_id.to_string();
    assert_eq!(record.key.as_deref(), Some(merchant.as_bytes()));
    assert_eq!(record.partition, stream::partition::partition(merchant.as_bytes(), 3));
    let schema = shop.env.schemas().id_of(&ORDER_CREATED).await.unwrap();
    let (id, _) = stream::wire::parse(record.value.as_deref().unwrap()).unwrap();
    assert_eq!(id, schema);
    for (name, value) in [
        ("ce_specversion", "1.0"),
        ("ce_id", answer.id()),
        ("ce_type", "larder.events.OrderCreated"),
        ("ce_source", "/larder/order-ingest"),
        ("ce_time", answer.body["placed_at"].as_str().unwrap()),
        ("content-type", "application/avro"),
        ("traceparent", TRACE),
    ] {
        assert_eq!(header(&record.headers, name), Some(value), "{name}");
    }
    assert_eq!(event.order_id.to_string(), answer.id());
    assert_eq!(event.customer_email.as_deref(), Some("anna@example.org"));
    assert_eq!(
        (event.total_minor.get(), event.lines.len(), event.request_hash),
        (2900, 2, None)
    );
    shop.close().await;
}

#[tokio::test]
async fn an_order_can_be_read_at_once_and_is_pending() {
    let shop = Shop::open().await;
    let placed = shop.post("/orders", &shop.burger()).await;
    let read = shop.get(placed.header("location")).await;
    assert_eq!((read.status, &read.body), (200, &placed.body));
    shop.close().await;
}

#[tokio::test]
async fn both_aliases_take_one_line() {
    let shop = Shop::open().await;
    let (bert, fries) = (shop.merchant.customers["bert"], shop.merchant.products["fries"]);
    for (path, product) in [
        ("/order", Reference::Id(fries.get())),
        ("/api/gateway/orders", Reference::Own("fries".to_owned())),
    ] {
        let answer = shop
            .post(path, &json!({"productId": product, "quantity": 3, "customerId": bert}))
            .await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        let id = answer.body["orderId"].clone();
        let expected = json!({"orderId": id, "productId": fries, "quantity": 3, "status": "pending"});
        assert_eq!(answer.body, expected);
        assert_eq!(answer.header("location"), format!("/orders/{}", id.as_str().unwrap()));
        assert_eq!(shop.get(answer.header("location")).await.body["total_minor"], 1200);
    }
    assert_eq!(shop.env.events::<OrderCreated>().await.len(), 2);
    shop.close().await;
}

#[tokio::test]
async fn an_order_without_a_sound_trace_begins_one() {
    let shop = Shop::open().await;
    let request = shop
        .anonymous(Method::POST, "/orders")
        .header("authorization", format!("bearer {KEY}"));
    assert_eq!(
        send(request.header("traceparent", "00-0-0-00").json(&shop.burger()))
            .await
            .status,
        202
    );
    let events = shop.env.events::<OrderCreated>().await;
    let trace = header(&events[0].0.headers, "traceparent").unwrap();
    assert!(trace.len() == 55 && trace.starts_with("00-"), "{trace}");
    shop.close().await;
}

#[tokio::test]
async fn what_was_asked_before_touches_no_database() {
    let shop = Shop::open().await;
    assert_eq!(shop.post("/orders", &shop.burger()).await.status, 202);
    let reads = shop.metric("larder_ingest_catalogue_reads_total");
    for _ in 0..50 {
        assert_eq!(shop.post("/orders", &shop.burger()).await.status, 202);
    }
    assert!((shop.metric("larder_ingest_catalogue_reads_total") - reads).abs() < f64::EPSILON);
    assert!((shop.metric("larder_ingest_orders_accepted_total") - 51.0).abs() < f64::EPSILON);
    shop.close().await;
}
