//! A record that comes again is applied once.

use domain::ids::OrderId;
use schemas::events::OrderConfirmed;

use crate::bar::{Bar, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_comes_again_is_decided_once() {
    let bar = Bar::open().await;
    let order = bar.order(&[("burger", 1)]);
    // Twice in one batch.
    bar.place_all(&[order.clone(), order.clone()]).await;
    let running = bar.serve().await;
    bar.wait_for_row(&order).await;
    // And later, before something new.
    let next = bar.order(&[("burger", 1)]);
    bar.place_all(&[order.clone(), next.clone()]).await;
    bar.wait_for_row(&next).await;
    assert_eq!(bar.env.wait_for_events::<OrderConfirmed>(2, PATIENCE).await.len(), 2);
    assert_eq!(bar.levels().await["onion"], 960);
    assert!(running.metric("larder_stock_orders_total{result=\"duplicate\"}") >= 2.0);
    bar.check_the_books().await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_a_client_named_and_sends_again_much_later_is_decided_once() {
    let bar = Bar::open().await;
    let named = bar.order_named(OrderId::from_key(bar.id(), "k-1"), &[("burger", 2)]);
    let running = bar.serve().await;
    bar.place_all(&[named.clone(), named.clone()]).await;
    bar.wait_for_row(&named).await;
    running.close().await;
    let running = bar.serve().await;
    let next = bar.order(&[("burger", 1)]);
    bar.place_all(&[named.clone(), next.clone()]).await;
    bar.wait_for_row(&next).await;
    assert_eq!(bar.levels().await["onion"], 940);
    bar.check_the_books().await;
    running.close().await;
}
