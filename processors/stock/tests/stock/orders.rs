//! What an order comes to.

use schemas::events::{Notify, OrderConfirmed, StockRejected, StockReserved};
use stream::header;

use crate::bar::{Bar, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_takes_its_ingredients_once_and_is_told() {
    let bar = Bar::open().await;
    let running = bar.serve().await;
    // Two lines that share an ingredient.
    let order = bar.order(&[("burger", 2), ("toast", 1)]);
    bar.place(&order).await;

    let confirmed = bar.env.wait_for_events::<OrderConfirmed>(1, PATIENCE).await;
    let (record, event) = &confirmed[0];
    assert_eq!((event.order_id, event.total_minor), (order.order_id, order.total_minor));
    assert_eq!(record.key.as_deref(), Some(bar.id().to_string().as_bytes()));
    assert_eq!(header(&record.headers, "ce_type"), Some("larder.events.OrderConfirmed"));
    let reserved = bar.env.wait_for_events::<StockReserved>(1, PATIENCE).await;
    let demand: Vec<_> = reserved[0]
        .1
        .demand
        .iter()
        .map(|part| (part.ingredient_id, part.amount.get()))
        .collect();
    let id = |name: &str| bar.merchant.ingredients[name];
    assert_eq!(demand, [(id("beef"), 300), (id("cheese"), 120), (id("onion"), 40)]);
    let levels = bar.levels().await;
    assert_eq!((levels["beef"], levels["cheese"], levels["onion"]), (19_700, 4880, 960));
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_lacks_something_takes_nothing_and_says_what() {
    let bar = Bar::open().await;
    let running = bar.serve().await;
    bar.place(&bar.order(&[("burger", 51)])).await;
    let rejected = bar.env.wait_for_events::<StockRejected>(1, PATIENCE).await;
    let event = &rejected[0].1;
    assert_eq!(event.reason, "insufficient_stock");
    let lacks: Vec<_> = event
        .shortfalls
        .iter()
        .map(|s| (s.ingredient_id, s.needed.get(), s.available.get()))
        .collect();
    assert_eq!(lacks, [(bar.merchant.ingredients["onion"], 1020, 1000)]);
    assert_eq!(bar.levels().await["onion"], 1000);
    assert_eq!(bar.env.events::<OrderConfirmed>().await.len(), 0);
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fall_below_the_threshold_is_told_once() {
    let bar = Bar::open().await;
    let running = bar.serve().await;
    for _ in 0..40 {
        bar.place(&bar.order(&[("burger", 1)])).await;
    }
    bar.env.wait_for_events::<OrderConfirmed>(40, PATIENCE).await;
    let alerts = bar.env.wait_for_events::<Notify>(1, PATIENCE).await;
    assert_eq!(alerts.len(), 1);
    let alert = &alerts[0].1;
    assert_eq!(
        (
            alert.ingredient_name.as_str(),
            alert.level_before.get(),
            alert.level_after.get()
        ),
        ("onion", 500, 480)
    );
    assert_eq!(alert.recipients, ["kitchen@bar.example"]);
    running.close().await;
}
