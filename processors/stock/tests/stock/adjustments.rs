//! What a change of stock that is no order comes to.

use schemas::events::{AdjustmentKind::*, Notify, StockAdjusted};
use store::movements::{self, Movement};
use testkit::wait_for;

use crate::bar::{Bar, PATIENCE};

async fn movement(bar: &Bar, event: &StockAdjusted) -> Movement {
    wait_for("the movement", PATIENCE, async || {
        movements::find(&bar.env.store, event.merchant_id, event.adjustment_id)
            .await
            .unwrap()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restock_arms_the_alert_again_and_a_second_fall_is_told() {
    let bar = Bar::open().await;
    let running = bar.serve().await;
    bar.adjust(Waste, "onion", -501).await;
    bar.adjust(Waste, "onion", -100).await;
    bar.adjust(Restock, "onion", 101).await;
    let last = bar.adjust(Waste, "onion", -1).await;
    let found = movement(&bar, &last).await;
    assert_eq!((found.amount, found.on_hand), (Some(-1), Some(499)));
    let alerts = bar.env.wait_for_events::<Notify>(2, PATIENCE).await;
    let levels: Vec<_> = alerts
        .iter()
        .map(|(_, alert)| (alert.level_before.get(), alert.level_after.get()))
        .collect();
    assert_eq!(levels, [(1000, 499), (500, 499)]);
    bar.check_the_books().await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waste_beyond_what_is_there_is_refused_and_changes_nothing() {
    let bar = Bar::open().await;
    let running = bar.serve().await;
    let waste = bar.adjust(Waste, "onion", -1001).await;
    let found = movement(&bar, &waste).await;
    assert_eq!(found.refusal.as_deref(), Some("more_than_available"));
    assert_eq!((found.amount, found.on_hand), (None, None));
    let mut unknown = waste.clone();
    unknown.ingredient_id = domain::ids::IngredientId::new(1_000_000);
    unknown.adjustment_id = domain::ids::AdjustmentId::new(uuid::Uuid::now_v7());
    bar.env.publish(&unknown, "unknown").await;
    assert_eq!(
        movement(&bar, &unknown).await.refusal.as_deref(),
        Some("unknown_ingredient")
    );
    assert_eq!(bar.levels().await["onion"], 1000);
    assert_eq!(
        running.metric("larder_stock_adjustments_total{result=\"refused\"}"),
        2.0
    );
    bar.check_the_books().await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recount_sets_the_level_and_tells_a_fall() {
    let bar = Bar::open().await;
    let running = bar.serve().await;
    let count = bar.adjust(Recount, "cheese", 2499).await;
    assert_eq!(movement(&bar, &count).await.amount, Some(-2501));
    let zero = bar.adjust(Recount, "cheese", 0).await;
    assert_eq!(movement(&bar, &zero).await.on_hand, Some(0));
    assert_eq!(bar.env.wait_for_events::<Notify>(1, PATIENCE).await.len(), 1);
    assert_eq!(bar.levels().await["cheese"], 0);
    bar.check_the_books().await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adjustment_that_comes_again_is_applied_once() {
    let bar = Bar::open().await;
    // Twice in one batch.
    let first = bar.adjust(Restock, "onion", 100).await;
    bar.env.publish(&first, "again").await;
    let running = bar.serve().await;
    movement(&bar, &first).await;
    // And much later, with something new beside it.
    bar.env.publish(&first, "again").await;
    let second = bar.adjust(Restock, "onion", 10).await;
    movement(&bar, &second).await;
    assert_eq!(bar.levels().await["onion"], 1110);
    bar.check_the_books().await;
    running.close().await;
}
