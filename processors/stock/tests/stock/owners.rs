//! Whoever comes, goes or falls over: every order has one outcome, and it is told.

use schemas::{
    events::{AdjustmentKind, Notify, OrderConfirmed, StockRejected, StockReserved},
    topics::ORDER_CREATED,
};
use stock_processor::Args;
use testkit::{kafka::Raw, wait_until};

use crate::bar::{Bar, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_have_been_published_is_told_again_as_it_was() {
    let bar = Bar::open().await;
    let running = bar.serve().await;
    let orders: Vec<_> = (0..30).map(|_| bar.order(&[("burger", 2)])).collect();
    bar.place_all(&orders).await;
    let topic = bar.env.names().topic(&ORDER_CREATED);
    let garbage = Raw {
        partition: Some(bar.shard()),
        value: Some(b"garbage".to_vec()),
        ..Raw::default()
    };
    bar.env.produce(&topic, garbage).await;
    bar.adjust(AdjustmentKind::Waste, "cheese", -3000).await;
    bar.wait_for_rows(30).await;
    bar.wait_for_dead_letters(&ORDER_CREATED, 1).await;
    bar.env.wait_for_events::<Notify>(2, PATIENCE).await;
    bar.check_the_books().await;
    running.close().await;
    let levels = bar.levels().await;

    bar.sql("UPDATE shards SET order_created_published = 0, stock_adjusted_published = 0")
        .await;
    let running = bar.serve().await;
    assert_eq!(bar.env.wait_for_events::<OrderConfirmed>(50, PATIENCE).await.len(), 50);
    assert_eq!(bar.env.wait_for_events::<StockReserved>(50, PATIENCE).await.len(), 50);
    assert_eq!(bar.env.wait_for_events::<StockRejected>(10, PATIENCE).await.len(), 10);
    assert_eq!(bar.env.wait_for_events::<Notify>(4, PATIENCE).await.len(), 4);
    assert_eq!(bar.wait_for_dead_letters(&ORDER_CREATED, 2).await.len(), 2);
    bar.check_the_books().await;
    assert_eq!(bar.levels().await, levels);
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_leave_and_fall_over_leave_one_outcome_an_order() {
    let bar = Bar::chain(6, 100).await;
    let first = bar.serve().await;
    let second = bar.serve().await;
    let both = async |one: &crate::bar::Running, other: &crate::bar::Running| {
        wait_until("both to have shards", PATIENCE, async || {
            let (one, other) = (one.metric("larder_stock_shards"), other.metric("larder_stock_shards"));
            one > 0.0 && other > 0.0 && one + other > 2.5
        })
        .await;
    };
    both(&first, &second).await;
    let orders = bar.burgers(1800);
    let (now, later) = orders.split_at(600);
    let (later, last) = later.split_at(600);
    bar.place_all(now).await;
    first.close().await;
    bar.place_all(later).await;
    let third = bar.serve().await;
    bar.place_all(last).await;
    second.kill().await;
    bar.wait_for_rows(1800).await;
    bar.check_the_books().await;
    third.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_cut_off_again_and_again_loses_and_repeats_nothing() {
    let bar = Bar::chain(3, 200).await;
    let orders = bar.burgers(3000);
    bar.place_all(&orders).await;
    let args = Args {
        batch_records: 100,
        ..Args::default()
    };
    for decided in [300, 900, 1800] {
        let running = bar.serve_with(args).await;
        bar.wait_for_rows(decided).await;
        running.kill().await;
    }
    let running = bar.serve_with(args).await;
    bar.wait_for_rows(3000).await;
    bar.check_the_books().await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_is_quick_and_leaves_nothing_untold() {
    let bar = Bar::chain(3, 200).await;
    let orders = bar.burgers(4000);
    bar.place_all(&orders).await;
    let args = Args {
        batch_records: 50,
        ..Args::default()
    };
    let running = bar.serve_with(args).await;
    bar.wait_for_rows(200).await;
    let started = std::time::Instant::now();
    running.close().await;
    assert!(
        started.elapsed() < std::time::Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
    let decided: i64 = bar.statuses().await.values().sum();
    assert!(decided < 4000, "it stopped before it was done");
    bar.check_the_books().await;
    let running = bar.serve().await;
    bar.wait_for_rows(4000).await;
    bar.check_the_books().await;
    assert!(running.metric("larder_stock_republished_total").abs() < f64::EPSILON);
    running.close().await;
}
