//! The walk of the README: burgers until the onions are gone, a delivery, burgers again.

use schemas::events::{Notify, OrderConfirmed, StockRejected};
use serde_json::{Value, json};
use testkit::wait_until;

use crate::larder::{Demo, Larder, PATIENCE, Services};

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_burgers_cause_four_mails_and_the_one_without_onion_is_rejected() {
    let mut larder = Larder::start(Services::All).await;
    let demo = larder.demo();
    let key = demo.api_key.as_str();

    // 1 kg of onion is 50 burgers; it is below half with the 26th.
    for burger in 1..=50 {
        assert_eq!(order(&larder, &demo).await["status"], "confirmed", "burger {burger}");
        let expected: &[&str] = if burger < 26 { &[] } else { &["onion"] };
        assert_eq!(raised(&larder, key).await, expected, "burger {burger}");
    }
    let rejected = order(&larder, &demo).await;
    assert_eq!(
        (&rejected["status"], &rejected["reason"]),
        (&json!("rejected"), &json!("insufficient_stock"))
    );
    let onion = demo.ingredients["onion"];
    assert_eq!(
        rejected["shortfalls"],
        json!([{ "ingredient_id": onion, "needed": 20, "available": 0 }])
    );

    let delivery = json!({ "kind": "restock", "amount": 1000, "reason": "delivery" });
    let (status, answer) = larder
        .post(key, &format!("/ingredients/{onion}/adjustments"), &delivery)
        .await;
    assert_eq!(status, 202, "{answer}");
    wait_until("the delivery", PATIENCE, async || {
        larder.stock(key, "onion").await["on_hand"] == 1000
    })
    .await;
    assert_eq!(
        raised(&larder, key).await,
        Vec::<String>::new(),
        "a full onion is armed again"
    );

    for burger in 51..=100 {
        assert_eq!(order(&larder, &demo).await["status"], "confirmed", "burger {burger}");
        let mut expected = Vec::new();
        expected.extend((burger >= 67).then_some("beef"));
        expected.extend((burger >= 84).then_some("cheese"));
        expected.extend((burger >= 76).then_some("onion"));
        assert_eq!(raised(&larder, key).await, expected, "burger {burger}");
    }
    for (ingredient, left) in [("beef", 5000), ("cheese", 2000), ("onion", 0)] {
        assert_eq!(larder.stock(key, ingredient).await["available"], left, "{ingredient}");
    }

    assert_eq!(
        larder.env.wait_for_events::<OrderConfirmed>(100, PATIENCE).await.len(),
        100
    );
    assert_eq!(larder.env.wait_for_events::<StockRejected>(1, PATIENCE).await.len(), 1);
    assert_eq!(larder.env.wait_for_events::<Notify>(4, PATIENCE).await.len(), 4);
    larder.mails.wait_for(4, PATIENCE).await.unwrap();
    // What is under way is ended before a service stops: a fifth mail would be there.
    larder.stop().await;
    let mails = larder.mails.mails();
    let mails: Vec<String> = mails
        .iter()
        .map(|mail| format!("{}\n{}", mail.subject().unwrap(), mail.plain_text()))
        .collect();
    let expected = [
        ("Onion", "500 g", "480 g", "50 %, that is 500 g"),
        ("Beef", "10100 g", "9950 g", "50 %, that is 10000 g"),
        ("Onion", "500 g", "480 g", "50 %, that is 500 g"),
        ("Cheese", "2510 g", "2480 g", "50 %, that is 2500 g"),
    ];
    assert_eq!(mails.len(), expected.len(), "{mails:#?}");
    for (mail, (ingredient, before, after, threshold)) in mails.iter().zip(expected) {
        for text in [
            &format!("Demo Burgers: {ingredient} is below 50 %"),
            before,
            after,
            threshold,
        ] {
            assert!(mail.contains(text), "{text} is not in {mail}");
        }
    }
}

/// Orders a burger and waits for its outcome.
async fn order(larder: &Larder, demo: &Demo) -> Value {
    let id = larder
        .order(&demo.api_key, &demo.customer_id.into(), &[(demo.product_id.into(), 1)])
        .await;
    larder.decided(&demo.api_key, &id).await
}

/// The ingredients whose alert is raised; it is in the same transaction as the order that caused it.
async fn raised(larder: &Larder, key: &str) -> Vec<String> {
    let stock = larder.get(key, "/stock").await.unwrap();
    let ingredients = stock["ingredients"].as_array().unwrap().iter();
    let raised = ingredients.filter(|ingredient| ingredient["alert"] == "raised");
    let mut names: Vec<String> = raised
        .map(|found| found["reference"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}
