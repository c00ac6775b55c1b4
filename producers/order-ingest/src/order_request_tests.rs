use axum::body::to_bytes;

use super::*;

fn parse(body: &str) -> Result<OrderRequest, Problem> {
    OrderRequest::parse(body.as_bytes(), Form::Items)
}

/// The code of the problem and (pointer, code) of each field.
async fn refused(body: &str, form: Form) -> (String, Vec<(String, String)>) {
    let problem = OrderRequest::parse(body.as_bytes(), form).unwrap_err();
    let document = to_bytes(problem.render("r"), usize::MAX).await.unwrap();
    let document: Value = serde_json::from_slice(&document).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let fields = document["errors"].as_array().map_or_else(Vec::new, |errors| {
        errors
            .iter()
            .map(|error| (text(&error["pointer"]), text(&error["code"])))
            .collect()
    });
    (text(&document["code"]), fields)
}

#[test]
fn an_id_is_a_number_or_a_text() {
    let request = parse(
        r#"{"customer_id": "anna", "items": [{"product_id": 7, "quantity": 2}, {"quantity": 1, "product_id": "x"}]}"#,
    )
    .unwrap();
    assert_eq!(request.customer, Reference::Own("anna".to_owned()));
    assert_eq!(request.lines[0].product, Reference::Id(7));
    assert_eq!(request.lines[1].product, Reference::Own("x".to_owned()));
    assert_eq!(request.product_pointer(1), "/items/1/product_id");
}

#[test]
fn the_hash_does_not_see_how_the_json_is_written() {
    let hash = |body| parse(body).unwrap().hash();
    let one = hash(r#"{"customer_id":1,"items":[{"product_id":7,"quantity":2}]}"#);
    assert_eq!(
        one,
        hash(r#"{ "items": [{"quantity": 2, "product_id": 7}], "customer_id": 1 }"#)
    );
    assert_ne!(
        one,
        hash(r#"{"customer_id":1,"items":[{"product_id":7,"quantity":3}]}"#)
    );
    assert_ne!(
        one,
        hash(r#"{"customer_id":"1","items":[{"product_id":7,"quantity":2}]}"#)
    );
    let alias = OrderRequest::parse(br#"{"productId":7,"quantity":2,"customerId":1}"#, Form::OneLine).unwrap();
    assert_eq!(one, alias.hash());
}

#[tokio::test]
async fn every_field_that_is_wrong_is_pointed_at() {
    let (code, fields) = refused(
        r#"{"customer_id": null, "note": 1, "items": [
            {"product_id": 7, "quantity": 0}, {"quantity": "2"}, 5, {"product_id": "", "quantity": 10001}]}"#,
        Form::Items,
    )
    .await;
    assert_eq!(code, "invalid_request");
    let expected = [
        ("/note", "unknown_field"),
        ("/customer_id", "wrong_type"),
        ("/items/0/quantity", "out_of_range"),
        ("/items/1/product_id", "required"),
        ("/items/1/quantity", "wrong_type"),
        ("/items/2", "wrong_type"),
        ("/items/3/product_id", "out_of_range"),
        ("/items/3/quantity", "out_of_range"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned()))
        .collect();
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn quantities_and_lines_have_bounds() {
    for quantity in [
        "0",
        "-1",
        "10001",
        "2147483648",
        "1e400",
        "99999999999999999999",
        "1.5",
        "true",
    ] {
        let body = format!(r#"{{"customer_id":1,"items":[{{"product_id":7,"quantity":{quantity}}}]}}"#);
        assert!(parse(&body).is_err(), "{quantity}");
    }
    let lines = |count| vec![r#"{"product_id":7,"quantity":1}"#; count].join(",");
    let body = |count| format!(r#"{{"customer_id":1,"items":[{}]}}"#, lines(count));
    assert!(parse(&body(100)).is_ok());
    for count in [0, 101] {
        let (code, fields) = refused(&body(count), Form::Items).await;
        assert_eq!((code.as_str(), fields[0].0.as_str()), ("invalid_request", "/items"));
    }
}

#[tokio::test]
async fn what_is_no_json_is_malformed() {
    for body in [
        "",
        "{",
        "\u{0}",
        r#"{"customer_id":1,"items":[{"product_id":7,"quantity":1}]} x"#,
        r#"{"customer_id":1,"customer_id":2,"items":[{"product_id":7,"quantity":1}]}"#,
        &"[".repeat(10_000),
    ] {
        assert_eq!(refused(body, Form::Items).await.0, "malformed_json", "{body:.60}");
    }
    for body in ["null", "[]", "7", r#""text""#] {
        let (code, fields) = refused(body, Form::Items).await;
        assert_eq!(
            (code.as_str(), fields[0].0.as_str(), fields[0].1.as_str()),
            ("invalid_request", "", "wrong_type")
        );
    }
}

#[tokio::test]
async fn the_form_of_one_line_points_at_its_own_names() {
    let (_, fields) = refused(r#"{"productId": 7, "quantity": 0, "customer_id": 1}"#, Form::OneLine).await;
    let pointers: Vec<&str> = fields.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/customer_id", "/quantity", "/customerId"]);
}
