//! Catalogues, brought into a fresh database.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

use store::{
    Database, StoreError,
    seed::{self, NewIngredient, NewMerchant, NewProduct, bulk},
    stock_levels,
};

async fn fresh() -> Database {
    Database::connect(&testkit::database().await).await.unwrap()
}

fn merchant() -> NewMerchant {
    let ingredient = |reference: &str, on_hand| NewIngredient {
        reference: reference.to_owned(),
        name: reference.to_owned(),
        unit: "g".to_owned(),
        full_level: 1000,
        threshold_pct: 50,
        on_hand,
    };
    NewMerchant {
        reference: "m".to_owned(),
        name: "M".to_owned(),
        currency: "EUR".to_owned(),
        alert_recipients: vec!["kitchen@m.example".to_owned()],
        customers: Vec::new(),
        ingredients: vec![ingredient("a", 1000), ingredient("b", 499)],
        products: vec![NewProduct {
            reference: "p".to_owned(),
            name: "P".to_owned(),
            price_minor: 100,
            recipe: vec![("a".to_owned(), 1), ("b".to_owned(), 2)],
        }],
    }
}

#[tokio::test]
async fn a_merchant_brought_in_twice_is_one_and_keeps_its_stock() {
    let database = fresh().await;
    let first = seed::merchant(&database, &merchant()).await.unwrap();
    let mut again = merchant();
    again.ingredients[0].on_hand = 1;
    let second = seed::merchant(&database, &again).await.unwrap();
    assert_eq!(
        (first.merchant_id, &first.products),
        (second.merchant_id, &second.products)
    );
    let levels = stock_levels::list(&database, first.merchant_id).await.unwrap();
    assert_eq!(levels.len(), 2);
    let level = levels
        .iter()
        .find(|level| level.reference.as_deref() == Some("a"))
        .unwrap();
    assert_eq!(level.stock.on_hand.get(), 1000);
}

#[tokio::test]
async fn stock_that_begins_below_the_threshold_has_not_fallen_below_it() {
    let database = fresh().await;
    let seeded = seed::merchant(&database, &merchant()).await.unwrap();
    for level in stock_levels::list(&database, seeded.merchant_id).await.unwrap() {
        assert_eq!(level.stock.alert_armed, level.reference.as_deref() == Some("a"));
    }
}

#[tokio::test]
async fn a_recipe_of_unknown_ingredients_is_refused_and_leaves_nothing() {
    let database = fresh().await;
    let mut wrong = merchant();
    wrong.products[0].recipe.push(("c".to_owned(), 1));
    let refusal = seed::merchant(&database, &wrong).await.unwrap_err();
    assert!(matches!(refusal, StoreError::Conflict(_)), "{refusal}");
    let right = seed::merchant(&database, &merchant()).await.unwrap();
    assert_eq!(stock_levels::list(&database, right.merchant_id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn merchants_in_bulk_have_keys_products_and_full_stock() {
    let database = fresh().await;
    let shape = bulk::Shape {
        merchants: 1500,
        products: 3,
        ingredients: 5,
        lines: 4,
        level: 70,
    };
    let mut steps = Vec::new();
    assert_eq!(
        bulk::merchants(&database, shape, |done| steps.push(done))
            .await
            .unwrap(),
        1500
    );
    assert!(steps.is_sorted() && steps.last() == Some(&1500), "{steps:?}");
    assert_eq!(
        bulk::merchants(&database, shape, |_| {}).await.unwrap(),
        0,
        "a second time adds nothing"
    );
    let orderable = bulk::orderable(&database, 1500).await.unwrap();
    assert_eq!(orderable.len(), 1500);
    assert!(orderable.iter().all(|merchant| merchant.product_ids.len() == 3));
    let keys = orderable
        .iter()
        .map(|merchant| (merchant.merchant_id, format!("lk_{}", merchant.merchant_id)));
    bulk::add_api_keys(&database, &keys.collect::<Vec<_>>()).await.unwrap();
    let levels = stock_levels::list(&database, orderable[1499].merchant_id)
        .await
        .unwrap();
    assert_eq!(levels.len(), 5);
    assert!(
        levels
            .iter()
            .all(|level| level.stock.on_hand.get() == 70 && level.threshold.full_level.get() == 70)
    );
}
