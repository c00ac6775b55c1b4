//! Batches and shard rows, in a fresh database.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

use domain::{
    amount::{Minor, Quantity},
    ids::{AdjustmentId, MerchantId, OrderId},
    money::Currency,
    pantry::Stock,
};
use schemas::events::{Demand, Micros, OrderCreated, OrderLine};
use sqlx::types::Uuid;
use store::{
    Database, StoreError,
    batch::{self, Batch, DeadLetterRow, MovementRow, OrderOutcome, OrderRow},
    orders, outcomes, pantries,
    seed::{self, NewIngredient, NewMerchant, NewProduct, Seeded},
    shards::{self, ShardRow},
    shelves::ShelfChanges,
    stock_levels,
};

async fn fresh() -> (Database, Seeded) {
    let database = Database::connect(&testkit::database().await).await.unwrap();
    let new = NewMerchant {
        reference: "m".to_owned(),
        name: "M".to_owned(),
        currency: "EUR".to_owned(),
        alert_recipients: Vec::new(),
        customers: Vec::new(),
        ingredients: vec![NewIngredient {
            reference: "a".to_owned(),
            name: "a".to_owned(),
            unit: "g".to_owned(),
            full_level: 1000,
            threshold_pct: 50,
            on_hand: 1000,
        }],
        products: vec![NewProduct {
            reference: "p".to_owned(),
            name: "P".to_owned(),
            price_minor: 100,
            recipe: vec![("a".to_owned(), 1)],
        }],
    };
    let seeded = seed::merchant(&database, &new).await.unwrap();
    (database, seeded)
}

async fn take(database: &Database) -> ShardRow {
    let rows = shards::take_over(database, &[4], Uuid::new_v4()).await.unwrap();
    rows.into_iter().next().unwrap()
}

fn quantity(amount: i64) -> Quantity {
    Quantity::new(amount).unwrap()
}

fn stock(on_hand: i64) -> Stock {
    Stock {
        on_hand: quantity(on_hand),
        reserved: quantity(0),
        alert_armed: true,
    }
}

/// The change of a sale, whatever the row really holds.
async fn sale(database: &Database, seeded: &Seeded, was: i64, is: i64) -> ShelfChanges {
    let (merchant, mut connection) = (seeded.merchant_id, database.connection().await.unwrap());
    let mut found = pantries::load(&mut connection, &[merchant.get()]).await.unwrap();
    let mut stocked = found.remove(&merchant).unwrap().unwrap();
    stocked.pantry.restore(&[stock(is)]);
    let mut changes = ShelfChanges::default();
    changes.add(merchant, &stocked.shelves, stocked.pantry.ingredients(), &[stock(was)]);
    changes
}

fn order(seeded: &Seeded, number: u128) -> OrderCreated {
    OrderCreated {
        order_id: OrderId::new(Uuid::from_u128(number)),
        merchant_id: seeded.merchant_id,
        customer_id: domain::ids::CustomerId::new(7),
        customer_email: Some("a@example.org".to_owned()),
        currency: Currency::parse("EUR").unwrap(),
        lines: vec![OrderLine {
            product_id: seeded.products["p"],
            quantity: 1,
            unit_price_minor: Minor::new(100).unwrap(),
        }],
        total_minor: Minor::new(100).unwrap(),
        placed_at: Micros(1_763_600_000_123_456),
        request_hash: Some(-3),
    }
}

fn confirmed<'a>(orders: &'a [OrderCreated], demand: &'a [Demand]) -> Vec<OrderRow<'a>> {
    let rows = (0..).zip(orders).map(|(offset, order)| OrderRow {
        order,
        outcome: OrderOutcome::Confirmed(demand),
        decided_at: Micros(1_763_600_000_999_999),
        partition: 4,
        offset,
    });
    rows.collect()
}

/// What the row is to be when so many records of `order_created` are applied.
fn up_to(row: &ShardRow, next: i64) -> ShardRow {
    let mut row = row.clone();
    row.order_created.next = next;
    row.order_created.fingerprint = Some(Uuid::from_u128(9));
    row
}

async fn on_hand(database: &Database, merchant: MerchantId) -> i64 {
    stock_levels::list(database, merchant).await.unwrap()[0]
        .stock
        .on_hand
        .get()
}

#[tokio::test]
async fn orders_are_the_same_row_however_many_come_at_once() {
    let (database, seeded) = fresh().await;
    let mut connection = database.connection().await.unwrap();
    let mut row = take(&database).await;
    let demand = [Demand {
        ingredient_id: seeded.ingredients["a"],
        amount: quantity(1),
    }];
    let all: Vec<_> = (0..1510).map(|number| order(&seeded, number)).collect();
    // Few by INSERT, many by COPY, in more than one message.
    for part in [&all[..10], &all[10..]] {
        let next = row.order_created.next + i64::try_from(part.len()).unwrap();
        let batch = Batch {
            shards: vec![up_to(&row, next)],
            orders: confirmed(part, &demand),
            ..Batch::default()
        };
        batch::apply(&mut connection, &batch).await.unwrap();
        row = up_to(&row, next);
        row.version += 1;
    }
    assert_eq!(shards::read(&database, &[4]).await.unwrap(), [row]);
    let find = async |number: usize| {
        let found = orders::find(&database, seeded.merchant_id, all[number].order_id).await;
        let mut found = found.unwrap().unwrap();
        found.id = all[0].order_id;
        found
    };
    assert_eq!(find(9).await, find(10).await);
    assert_eq!(find(10).await.lines, all[10].lines);
    let ids = [all[9].order_id, all[10].order_id].map(|id| (seeded.merchant_id.get(), id.get()));
    let written = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM orders_unpacked WHERE demand[2] = 1");
    assert_eq!(written.fetch_one(&mut connection).await.unwrap(), 1510);
    for outcome in outcomes::stored(&mut connection, &ids).await.unwrap().values() {
        assert_eq!(outcome.demand, demand);
        assert_eq!(outcome.decided_at, Micros(1_763_600_000_999_999));
    }
}

#[tokio::test]
async fn who_lost_the_shard_changes_nothing() {
    let (database, seeded) = fresh().await;
    let lost = take(&database).await;
    let owned = take(&database).await;
    let mut connection = database.connection().await.unwrap();
    let batch = Batch {
        shards: vec![up_to(&lost, 1)],
        stock: sale(&database, &seeded, 1000, 999).await,
        ..Batch::default()
    };
    let refusal = batch::apply(&mut connection, &batch).await.unwrap_err();
    assert!(matches!(refusal, StoreError::Conflict(_)), "{refusal}");
    assert_eq!(on_hand(&database, seeded.merchant_id).await, 1000);
    assert_eq!(shards::read(&database, &[4]).await.unwrap(), [owned]);
}

#[tokio::test]
async fn an_operators_word_takes_the_shard_from_its_owner() {
    let (database, _) = fresh().await;
    let owned = take(&database).await;
    shards::overrule(&database, &up_to(&owned, 7)).await.unwrap();
    let found = shards::read(&database, &[4]).await.unwrap();
    assert_eq!((found[0].order_created.next, found[0].version), (7, owned.version + 1));
    assert_ne!(found[0].owner, owned.owner);
    // Said on a row that has moved meanwhile, it changes nothing.
    let refusal = shards::overrule(&database, &up_to(&owned, 9)).await.unwrap_err();
    assert!(matches!(refusal, StoreError::Conflict(_)), "{refusal}");
    assert_eq!(shards::read(&database, &[4]).await.unwrap(), found);
}

#[tokio::test]
async fn stock_that_is_not_what_was_decided_against_refuses_the_batch() {
    let (database, seeded) = fresh().await;
    let row = take(&database).await;
    let mut connection = database.connection().await.unwrap();
    let batch = Batch {
        shards: vec![up_to(&row, 1)],
        stock: sale(&database, &seeded, 900, 899).await,
        ..Batch::default()
    };
    let refusal = batch::apply(&mut connection, &batch).await.unwrap_err();
    assert!(matches!(refusal, StoreError::Conflict(_)), "{refusal}");
    assert_eq!(on_hand(&database, seeded.merchant_id).await, 1000);
    assert_eq!(shards::read(&database, &[4]).await.unwrap(), [row]);
}

#[tokio::test]
async fn a_batch_with_something_refused_is_not_written_at_all() {
    let (database, seeded) = fresh().await;
    let row = take(&database).await;
    let mut connection = database.connection().await.unwrap();
    let demand = [];
    let mut bad = order(&seeded, 2);
    bad.customer_email = Some("\0".to_owned());
    let twice = [order(&seeded, 1), order(&seeded, 1)];
    let refused = [order(&seeded, 1), bad];
    for (orders, is_duplicate) in [(&twice, true), (&refused, false)] {
        let batch = Batch {
            shards: vec![up_to(&row, 2)],
            stock: sale(&database, &seeded, 1000, 999).await,
            orders: confirmed(orders, &demand),
            ..Batch::default()
        };
        let error = batch::apply(&mut connection, &batch).await.unwrap_err();
        assert!(error.is_refusal(), "{error}");
        assert_eq!(matches!(error, StoreError::Duplicate { .. }), is_duplicate, "{error}");
        assert_eq!(on_hand(&database, seeded.merchant_id).await, 1000);
        assert_eq!(shards::read(&database, &[4]).await.unwrap(), std::slice::from_ref(&row));
    }
}

#[tokio::test]
async fn movements_and_dead_letters_are_found_again() {
    let (database, seeded) = fresh().await;
    let row = take(&database).await;
    let mut connection = database.connection().await.unwrap();
    let id = AdjustmentId::new(Uuid::from_u128(5));
    let letter = DeadLetterRow {
        topic: "t".to_owned(),
        partition: 4,
        offset: 11,
        reason: "absurd".to_owned(),
        detail: "why".to_owned(),
        found_at: Micros(5),
    };
    let batch = Batch {
        shards: vec![up_to(&row, 1)],
        movements: vec![MovementRow {
            merchant: seeded.merchant_id,
            id,
            ingredient: seeded.ingredients["a"],
            kind: "waste",
            result: Err(("more_than_available", "only 3".to_owned())),
            reason: "fell down".to_owned(),
            requested_at: Micros(1),
            decided_at: Micros(2),
            partition: 4,
            offset: 0,
        }],
        dead_letters: vec![letter.clone()],
        ..Batch::default()
    };
    batch::apply(&mut connection, &batch).await.unwrap();
    let asked = [5, 6].map(|number| (seeded.merchant_id.get(), Uuid::from_u128(number)));
    assert_eq!(
        batch::known_movements(&mut connection, &asked).await.unwrap(),
        [asked[0]]
    );
    assert!(batch::known_orders(&mut connection, &asked).await.unwrap().is_empty());
    let found = outcomes::dead_letters(&mut connection, ("t", 4), (11, 12)).await;
    assert_eq!(found.unwrap(), [letter]);
    let found = outcomes::dead_letters(&mut connection, ("t", 4), (0, 11)).await;
    assert!(found.unwrap().is_empty());
}
