//! Whatever is refused leaves nothing on a topic.

use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::{Answer, OTHER_KEY, Shop, send};

/// A body, the problem's code, and pointer and code of each field.
type Case<'a> = (Value, &'a str, &'a [(&'a str, &'a str)]);

fn pointers(answer: &Answer) -> Vec<(&str, &str)> {
    let errors = answer.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
    errors
        .iter()
        .map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn an_order_that_makes_no_sense_is_refused() {
    let shop = Shop::open().await;
    sqlx::query("UPDATE products SET active = false WHERE reference = 'fries'")
        .execute(shop.env.store.pool())
        .await
        .unwrap();
    let line = |product: Value, quantity: Value| json!({"customer_id": "anna", "items": [{"product_id": product, "quantity": quantity}]});
    let soup = json!(shop.other.products["soup"]);
    let quantity = [("/items/0/quantity", "out_of_range")];
    let product = [("/items/0/product_id", "unknown_product")];
    let cases: Vec<Case<'_>> = vec![
        (line(json!("burger"), json!(0)), "invalid_request", &quantity),
        (line(json!("burger"), json!(-1)), "invalid_request", &quantity),
        (line(json!("burger"), json!(10_001)), "invalid_request", &quantity),
        (line(json!("burger"), json!(u64::MAX)), "invalid_request", &quantity),
        (
            line(json!("burger"), json!(1.5)),
            "invalid_request",
            &[("/items/0/quantity", "wrong_type")],
        ),
        (line(json!("pizza"), json!(1)), "unknown_product", &product),
        (line(json!(0), json!(1)), "unknown_product", &product),
        (line(soup.clone(), json!(1)), "unknown_product", &product),
        (line(json!("soup"), json!(1)), "unknown_product", &product),
        (
            line(json!("fries"), json!(1)),
            "product_inactive",
            &[("/items/0/product_id", "product_inactive")],
        ),
        (
            json!({"customer_id": shop.other.customers["carl"], "items": [{"product_id": soup, "quantity": 1}]}),
            "unknown_customer",
            &[
                ("/customer_id", "unknown_customer"),
                ("/items/0/product_id", "unknown_product"),
            ],
        ),
        (
            json!({"customer_id": "a\0b", "items": []}),
            "invalid_request",
            &[("/customer_id", "out_of_range"), ("/items", "out_of_range")],
        ),
        (
            json!({"customer_id": 1, "items": vec![json!({"product_id": 1, "quantity": 1}); 101]}),
            "invalid_request",
            &[("/items", "out_of_range")],
        ),
        (
            json!({"customer_id": 1, "items": [{"product_id": 1, "quantity": 1, "price": 0}], "total_minor": 0}),
            "invalid_request",
            &[("/total_minor", "unknown_field"), ("/items/0/price", "unknown_field")],
        ),
        (json!([]), "invalid_request", &[("", "wrong_type")]),
    ];
    for (body, code, fields) in &cases {
        let answer = shop.post("/orders", body).await;
        assert_eq!((answer.status, answer.code()), (422, *code), "{body}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(pointers(&answer), *fields, "{body}");
    }
    let alias = shop
        .post(
            "/order",
            &json!({"productId": "pizza", "quantity": 1, "customerId": "nobody"}),
        )
        .await;
    assert_eq!(
        pointers(&alias),
        [("/customerId", "unknown_customer"), ("/productId", "unknown_product")]
    );
    assert_eq!(shop.records().await, 0);
    shop.close().await;
}

#[tokio::test]
async fn whoever_has_no_valid_key_is_nobody() {
    let shop = Shop::open().await;
    let post = || shop.anonymous(Method::POST, "/orders").json(&shop.burger());
    for (request, code) in [
        (post(), "missing_api_key"),
        (post().basic_auth("u", Some("p")), "missing_api_key"),
        (post().bearer_auth("larder_wrong"), "invalid_api_key"),
        (post().bearer_auth("larder_wrong"), "invalid_api_key"),
    ] {
        let answer = send(request).await;
        assert_eq!((answer.status, answer.code()), (401, code));
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"larder\"");
    }
    for path in ["/stock", "/orders/0b9e2a8c-0000-7000-8000-000000000000"] {
        assert_eq!(send(shop.anonymous(Method::GET, path)).await.status, 401);
    }
    assert_eq!(shop.records().await, 0);
    shop.close().await;
}

#[tokio::test]
async fn another_merchants_key_does_not_sell_this_ones_products() {
    let shop = Shop::open().await;
    let answer = send(
        shop.anonymous(Method::POST, "/orders")
            .bearer_auth(OTHER_KEY)
            .json(&shop.burger()),
    )
    .await;
    assert_eq!((answer.status, answer.code()), (422, "unknown_customer"));
    assert_eq!(shop.records().await, 0);
    shop.close().await;
}

#[tokio::test]
async fn a_total_that_cannot_be_counted_is_refused() {
    let shop = Shop::open().await;
    sqlx::query("UPDATE products SET price_minor = 9223372036854775807 WHERE reference = 'fries'")
        .execute(shop.env.store.pool())
        .await
        .unwrap();
    let body = json!({"customer_id": "anna", "items": [{"product_id": "fries", "quantity": 2}]});
    let answer = shop.post("/orders", &body).await;
    assert_eq!((answer.status, answer.code()), (422, "total_out_of_range"));
    assert_eq!(shop.records().await, 0);
    shop.close().await;
}
