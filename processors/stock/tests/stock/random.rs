//! Random orders, drained in small batches by one worker and by several: what the domain says is what the books say.

use std::collections::BTreeMap;

use domain::{
    amount::Quantity,
    ids::{IngredientId, MerchantId, OrderId},
    order::Line,
    pantry::{Adjustment, Pantry},
};
use schemas::events::OrderCreated;
use stock_processor::Args;
use testkit::wait_until;
use uuid::Uuid;

use crate::bar::{Bar, PATIENCE};

/// What the domain makes of these orders, one after another.
#[derive(Debug, Default, PartialEq, Eq)]
struct Came {
    confirmed: usize,
    rejected: usize,
    crossings: usize,
    levels: BTreeMap<(MerchantId, IngredientId), i64>,
}

async fn pantries(bar: &Bar) -> BTreeMap<MerchantId, Pantry> {
    let ids: Vec<i64> = bar.merchants().map(|bar| bar.merchant_id.get()).collect();
    let mut connection = bar.env.store.connection().await.unwrap();
    let loaded = store::pantries::load(&mut connection, &ids).await.unwrap();
    loaded
        .into_iter()
        .map(|(id, pantry)| (id, pantry.unwrap().pantry))
        .collect()
}

fn simulate(mut pantries: BTreeMap<MerchantId, Pantry>, orders: &[OrderCreated]) -> Came {
    let mut came = Came::default();
    for order in orders {
        let pantry = pantries.get_mut(&order.merchant_id).unwrap();
        let lines: Vec<Line> = order
            .lines
            .iter()
            .map(|line| Line {
                product: line.product_id,
                quantity: line.quantity,
            })
            .collect();
        match pantry.decide_order(lines) {
            Ok(demand) => {
                came.confirmed += 1;
                came.crossings += pantry.take(&demand).len();
            }
            Err(_) => came.rejected += 1,
        }
    }
    came.levels = levels(&pantries);
    came
}

fn levels(pantries: &BTreeMap<MerchantId, Pantry>) -> BTreeMap<(MerchantId, IngredientId), i64> {
    let all = pantries.iter().flat_map(|(merchant, pantry)| {
        let ingredients = pantry.ingredients().iter();
        ingredients.map(|ingredient| ((*merchant, ingredient.id), ingredient.stock.on_hand.get()))
    });
    all.collect()
}

async fn came(bar: &Bar) -> Came {
    let statuses = bar.statuses().await;
    let count = |status: &str| usize::try_from(statuses.get(status).copied().unwrap_or_default()).unwrap();
    let crossings: i64 = sqlx::query_scalar("SELECT count(*) FROM alerts")
        .fetch_one(bar.env.store.pool())
        .await
        .unwrap();
    Came {
        confirmed: count("confirmed"),
        rejected: count("rejected"),
        crossings: usize::try_from(crossings).unwrap(),
        levels: levels(&pantries(bar).await),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_are_what_the_domain_says_however_the_orders_are_cut_into_batches() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let bar = Bar::chain(7, 1).await;
    let bars: Vec<_> = bar.merchants().collect();
    let orders: Vec<_> = (0..1200)
        .map(|_| {
            let place = bars[random.usize(..bars.len())];
            let lines: Vec<_> = (0..random.usize(1..4))
                .map(|_| (["burger", "toast"][random.usize(..2)], random.i32(1..3)))
                .collect();
            Bar::order_at(place, OrderId::new(Uuid::now_v7()), &lines)
        })
        .collect();
    let start = pantries(&bar).await;
    let full = Quantity::new(1000).unwrap();
    let onion = bar.merchant.ingredients["onion"];
    let recount = start[&bar.id()].decide_adjustment(onion, Adjustment::Recount(full));
    assert!(recount.is_ok(), "the model and the table agree on what there is");
    for (connections, part) in [(1, &orders[..600]), (3, &orders[600..])] {
        let before = came(&bar).await;
        let model = simulate(pantries(&bar).await, part);
        bar.place_all(part).await;
        let args = Args {
            connections,
            batch_records: 7,
            cached_merchants: 3,
            ..Args::default()
        };
        let running = bar.serve_with(args).await;
        let expected = Came {
            confirmed: before.confirmed + model.confirmed,
            rejected: before.rejected + model.rejected,
            crossings: before.crossings + model.crossings,
            levels: model.levels,
        };
        bar.wait_for_rows(i64::try_from(expected.confirmed + expected.rejected).unwrap())
            .await;
        wait_until("the alerts", PATIENCE, async || {
            came(&bar).await.crossings == expected.crossings
        })
        .await;
        assert_eq!(came(&bar).await, expected, "seed {seed}");
        bar.check_the_books().await;
        running.close().await;
    }
}
