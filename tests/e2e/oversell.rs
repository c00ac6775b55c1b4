//! Whoever comes at the same time, there is only so much.

use futures::future::join_all;
use schemas::events::{Notify, OrderConfirmed, StockRejected, StockReserved};
use serde_json::{Value, json};
use store::seed::{self, NewCustomer, NewIngredient, NewMerchant, NewProduct, Seeded};

use crate::larder::{Larder, PATIENCE, Services};

const KEY: &str = "lk_of_this_test_alone";

#[tokio::test(flavor = "multi_thread")]
async fn of_64_clients_that_order_at_once_half_get_the_last_of_the_stock_and_one_alert_is_raised() {
    let mut larder = Larder::start(Services::All).await;
    // 64 orders of 5, and there are 32 times 5.
    merchant(&larder, 160, &[("one", 5)]).await;
    let client = async || {
        let id = larder.order(KEY, &json!("c"), &[(json!("one"), 1)]).await;
        larder.decided(KEY, &id).await
    };
    let orders: Vec<Value> = join_all((0..64).map(|_| client())).await;
    let (confirmed, rejected): (Vec<_>, Vec<_>) = orders.iter().partition(|order| order["status"] == "confirmed");
    assert_eq!((confirmed.len(), rejected.len()), (32, 32));
    for order in rejected {
        assert_eq!(
            (&order["shortfalls"][0]["needed"], &order["shortfalls"][0]["available"]),
            (&json!(5), &json!(0))
        );
    }
    let stock = larder.stock(KEY, "flour").await;
    assert_eq!(
        (&stock["on_hand"], &stock["reserved"], &stock["alert"]),
        (&json!(0), &json!(0), &json!("raised"))
    );

    let env = &larder.env;
    assert_eq!(env.wait_for_events::<StockReserved>(32, PATIENCE).await.len(), 32);
    assert_eq!(env.wait_for_events::<OrderConfirmed>(32, PATIENCE).await.len(), 32);
    assert_eq!(env.wait_for_events::<StockRejected>(32, PATIENCE).await.len(), 32);
    larder.mails.wait_for(1, PATIENCE).await.unwrap();
    larder.stop().await;
    let alerts = larder.env.events::<Notify>().await;
    assert_eq!(alerts.len(), 1);
    assert_eq!(
        (alerts[0].1.level_before.get(), alerts[0].1.level_after.get()),
        (80, 75)
    );
    assert_eq!(larder.mails.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_share_an_ingredient_are_summed_before_the_stock_is_asked() {
    let mut larder = Larder::start(Services::All).await;
    // Each line alone would fit, both together need 25.
    let seeded = merchant(&larder, 24, &[("small", 10), ("large", 15)]).await;
    let both = [(json!("small"), 1), (json!("large"), 1)];
    let id = larder.order(KEY, &json!("c"), &both).await;
    let order = larder.decided(KEY, &id).await;
    assert_eq!(order["status"], "rejected");
    let flour = seeded.ingredients["flour"].get();
    assert_eq!(
        order["shortfalls"],
        json!([{ "ingredient_id": flour, "needed": 25, "available": 24 }])
    );
    assert_eq!(larder.stock(KEY, "flour").await["on_hand"], 24, "all or nothing");

    let one = json!({ "kind": "restock", "amount": 1, "reason": "one more" });
    let (status, answer) = larder.post(KEY, "/ingredients/flour/adjustments", &one).await;
    assert_eq!(status, 202, "{answer}");
    testkit::wait_until("the restock", PATIENCE, async || {
        larder.stock(KEY, "flour").await["on_hand"] == 25
    })
    .await;
    let id = larder.order(KEY, &json!("c"), &both).await;
    assert_eq!(larder.decided(KEY, &id).await["status"], "confirmed");
    assert_eq!(larder.stock(KEY, "flour").await["on_hand"], 0);
    larder.stop().await;
}

/// A merchant with so much flour, and products that take some of it.
async fn merchant(larder: &Larder, flour: i64, products: &[(&str, i64)]) -> Seeded {
    let product = |(name, takes): &(&str, i64)| NewProduct {
        reference: (*name).to_owned(),
        name: (*name).to_owned(),
        price_minor: 100,
        recipe: vec![("flour".to_owned(), *takes)],
    };
    let new = NewMerchant {
        reference: "m".to_owned(),
        name: "M".to_owned(),
        currency: "EUR".to_owned(),
        alert_recipients: vec!["kitchen@m.example".to_owned()],
        customers: vec![NewCustomer {
            reference: "c".to_owned(),
            name: "C".to_owned(),
            email: None,
        }],
        ingredients: vec![NewIngredient {
            reference: "flour".to_owned(),
            name: "Flour".to_owned(),
            unit: "g".to_owned(),
            full_level: flour,
            threshold_pct: 50,
            on_hand: flour,
        }],
        products: products.iter().map(product).collect(),
    };
    let seeded = seed::merchant(&larder.env.store, &new).await.unwrap();
    seed::add_api_key(&larder.env.store, seeded.merchant_id, KEY)
        .await
        .unwrap();
    seeded
}
