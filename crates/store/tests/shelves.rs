//! Shelves, in a fresh database.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

use domain::{
    amount::Quantity,
    ids::MerchantId,
    pantry::{Ingredient, Stock},
};
use sqlx::PgPool;
use store::{
    Database, StoreError,
    batch::{self, Batch},
    pantries::{self, Stocked},
    seed::{self, NewIngredient, NewMerchant},
    shelves::ShelfChanges,
    stock_levels,
};

/// A merchant with so many ingredients, 100 g of each.
fn merchant(ingredients: usize) -> NewMerchant {
    let ingredient = |number| NewIngredient {
        reference: format!("i-{number}"),
        name: "i".to_owned(),
        unit: "g".to_owned(),
        full_level: 100,
        threshold_pct: 50,
        on_hand: 100,
    };
    NewMerchant {
        reference: "m".to_owned(),
        name: "M".to_owned(),
        currency: "EUR".to_owned(),
        alert_recipients: Vec::new(),
        customers: Vec::new(),
        ingredients: (0..ingredients).map(ingredient).collect(),
        products: Vec::new(),
    }
}

async fn fresh(ingredients: usize) -> (Database, MerchantId) {
    let database = Database::connect(&testkit::database().await).await.unwrap();
    let seeded = seed::merchant(&database, &merchant(ingredients)).await.unwrap();
    (database, seeded.merchant_id)
}

async fn load(database: &Database, merchant: MerchantId) -> Stocked {
    let mut connection = database.connection().await.unwrap();
    let mut found = pantries::load(&mut connection, &[merchant.get()]).await.unwrap();
    found.remove(&merchant).unwrap().unwrap()
}

/// Writes what the stock is to be, where it is as `now` has it.
async fn write(database: &Database, merchant: MerchantId, now: &Stocked, is: &[Stock]) -> Result<(), StoreError> {
    let before = stocks(now.pantry.ingredients());
    let mut changed = now.pantry.clone();
    changed.restore(is);
    let mut stock = ShelfChanges::default();
    stock.add(merchant, &now.shelves, changed.ingredients(), &before);
    let batch = Batch {
        stock,
        ..Batch::default()
    };
    batch::apply(&mut database.connection().await.unwrap(), &batch).await
}

/// Which transaction wrote each shelf.
async fn written_by(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT xmin::text FROM shelves ORDER BY shelf")
        .fetch_all(pool)
        .await
        .unwrap()
}

fn stocks(ingredients: &[Ingredient]) -> Vec<Stock> {
    ingredients.iter().map(|ingredient| ingredient.stock).collect()
}

async fn shelf_lengths(pool: &PgPool) -> Vec<i32> {
    sqlx::query_scalar("SELECT cardinality(ingredient_ids) FROM shelves ORDER BY shelf")
        .fetch_all(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_written_is_read_back_whatever_shelf_it_stands_on() {
    let (database, merchant) = fresh(130).await;
    assert_eq!(shelf_lengths(database.pool()).await, [64, 64, 2]);
    let mut now = load(&database, merchant).await;
    assert_eq!(now.pantry.ingredients().len(), 130);
    let mut stocks = stocks(now.pantry.ingredients());
    let steps: [(usize, Stock); 5] = [
        (0, stock(90, 0, true)),
        (63, stock(80, 80, false)),
        (64, stock(70, 1, false)),
        (129, stock(0, 0, false)),
        // Nothing is reserved on its shelf any more.
        (63, stock(0, 0, true)),
    ];
    for (slot, stock) in steps {
        stocks[slot] = stock;
        write(&database, merchant, &now, &stocks).await.unwrap();
        now = load(&database, merchant).await;
        assert_eq!(self::stocks(now.pantry.ingredients()), stocks);
        let listed = stock_levels::list(&database, merchant).await.unwrap();
        assert!(listed.iter().map(|level| level.stock).eq(stocks.iter().copied()));
    }
}

#[tokio::test]
async fn a_sale_writes_the_one_shelf_it_takes_from() {
    let (database, merchant) = fresh(130).await;
    let now = load(&database, merchant).await;
    let mut stocks = stocks(now.pantry.ingredients());
    stocks[3] = stock(99, 0, true);
    stocks[40] = stock(99, 0, true);
    let before = written_by(database.pool()).await;
    write(&database, merchant, &now, &stocks).await.unwrap();
    let after = written_by(database.pool()).await;
    assert_ne!(after[0], before[0]);
    assert_eq!(after[1..], before[1..]);
}

#[tokio::test]
async fn a_level_that_is_not_what_was_decided_against_refuses_the_change() {
    for hand in [
        "on_hand[3] = 99",
        "reserved = array_fill(1::int8, ARRAY[10])",
        "armed = 0",
    ] {
        let (database, merchant) = fresh(10).await;
        let now = load(&database, merchant).await;
        let hand = sqlx::AssertSqlSafe(format!("UPDATE shelves SET {hand}"));
        sqlx::query(hand).execute(database.pool()).await.unwrap();
        let mut stocks = stocks(now.pantry.ingredients());
        stocks[0] = stock(1, 0, true);
        let refusal = write(&database, merchant, &now, &stocks).await.unwrap_err();
        assert!(matches!(refusal, StoreError::Conflict(_)), "{refusal}");
    }
}

#[tokio::test]
async fn an_ingredient_that_comes_later_has_a_shelf_of_its_own() {
    let (database, merchant_id) = fresh(3).await;
    seed::merchant(&database, &merchant(5)).await.unwrap();
    assert_eq!(shelf_lengths(database.pool()).await, [3, 2]);
    seed::merchant(&database, &merchant(5)).await.unwrap();
    assert_eq!(shelf_lengths(database.pool()).await, [3, 2]);
    assert_eq!(load(&database, merchant_id).await.pantry.ingredients().len(), 5);
}

#[tokio::test]
async fn a_shelf_refuses_what_is_no_stock() {
    let (database, merchant) = fresh(3).await;
    for (statement, code) in [
        ("UPDATE shelves SET on_hand[1] = -1", "23514"),
        ("UPDATE shelves SET on_hand[2] = 1000000000001", "23514"),
        ("UPDATE shelves SET on_hand[2] = NULL", "23514"),
        ("UPDATE shelves SET on_hand = on_hand[1:2]", "23514"),
        ("UPDATE shelves SET reserved = '{0, 101, 0}'", "23514"),
        ("UPDATE shelves SET reserved = '{0, 0, 0}'", "23514"),
        ("UPDATE shelves SET reserved = '{0, 1, NULL}'", "23514"),
        ("UPDATE shelves SET armed = 8", "23514"),
        ("UPDATE shelves SET ingredient_ids[2] = ingredient_ids[1]", "23505"),
        ("UPDATE shelves SET ingredient_ids[2] = 0", "23503"),
        (
            "INSERT INTO shelves SELECT merchant_id, 1, 0, ingredient_ids[3:3], '{1}' FROM shelves",
            "23505",
        ),
        ("DELETE FROM ingredients", "23503"),
    ] {
        let error = sqlx::query(statement).execute(database.pool()).await.unwrap_err();
        let found = error.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(found, code, "{statement}: {error}");
    }
    assert_eq!(load(&database, merchant).await.pantry.ingredients().len(), 3);
}

fn stock(on_hand: i64, reserved: i64, alert_armed: bool) -> Stock {
    Stock {
        on_hand: Quantity::new(on_hand).unwrap(),
        reserved: Quantity::new(reserved).unwrap(),
        alert_armed,
    }
}
