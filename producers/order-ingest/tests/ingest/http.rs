//! What HTTP itself brings: every path and every method is answered, and every error is a problem.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::shop::{KEY, PATIENCE, Shop, send};

#[tokio::test]
async fn every_error_is_a_problem_with_the_requests_id() {
    let shop = Shop::open().await;
    let post = || shop.request(Method::POST, "/orders");
    let json = || post().header("content-type", "application/json");
    let big = format!("{{\"customer_id\":\"{}\"}}", "x".repeat(64 * 1024));
    let cases = [
        (shop.request(Method::GET, "/"), 404, "not_found"),
        (shop.request(Method::GET, "/orders/"), 404, "not_found"),
        (shop.request(Method::GET, "/orders/not-an-id"), 404, "order_not_found"),
        (shop.request(Method::GET, "/orders/%ff"), 404, "order_not_found"),
        (shop.request(Method::DELETE, "/stock"), 405, "method_not_allowed"),
        (shop.request(Method::GET, "/orders"), 405, "method_not_allowed"),
        (post().body("{}"), 415, "unsupported_media_type"),
        (
            post().header("content-type", "text/plain").body("{}"),
            415,
            "unsupported_media_type",
        ),
        (json().body(""), 400, "malformed_json"),
        (json().body("{\"customer_id\":"), 400, "malformed_json"),
        (json().body(vec![0xff, 0xfe]), 400, "malformed_json"),
        (json().body(big.clone()), 413, "body_too_large"),
        (json().body("{}"), 422, "invalid_request"),
    ];
    for (request, status, code) in cases {
        let answer = send(request.header("x-request-id", "r-1")).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.header("x-request-id"), "r-1");
        assert_eq!(answer.body["request_id"], "r-1");
        assert_eq!(answer.body["status"], status);
        assert_eq!(answer.body["type"], format!("urn:larder:problem:{code}"));
    }
    let refused = send(shop.request(Method::GET, "/orders")).await;
    assert_eq!(
        (refused.header("allow"), refused.header("x-request-id").len()),
        ("POST", 32)
    );
    assert_eq!(
        send(shop.request(Method::POST, "/stock")).await.header("allow"),
        "GET,HEAD"
    );

    // The length of a chunked body shows only as it is read.
    let mut chunked = connect(&shop, "transfer-encoding: chunked").await;
    chunked
        .write_all(format!("{:x}\r\n{big}\r\n0\r\n\r\n", big.len()).as_bytes())
        .await
        .unwrap();
    assert!(answer(chunked).await.starts_with("HTTP/1.1 413"));
    assert_eq!(shop.records().await, 0);
    shop.close().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let shop = Shop::open_with(|config| config.limits.body_timeout = Duration::from_millis(100)).await;
    let answer = answer(connect(&shop, "content-length: 10").await).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
    shop.close().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let shop = Shop::open_with(|config| config.limits.head_timeout = Duration::from_millis(100)).await;
    let mut stream = TcpStream::connect(shop.address()).await.unwrap();
    stream.write_all(b"POST /orders HTTP/1.1\r\nhost:").await.unwrap();
    answer(stream).await;
    shop.close().await;
}

#[tokio::test]
async fn too_many_requests_at_a_time_are_shed() {
    let shop = Shop::open_with(|config| config.limits.requests = 1).await;
    assert_eq!(shop.post("/orders", &shop.burger()).await.status, 202);
    // Holds the only place until its body is there.
    let mut slow = connect(&shop, "content-length: 2").await;
    testkit::wait_until("the place to be taken", PATIENCE, async || {
        let shed = shop.post("/orders", &json!({})).await;
        assert!(matches!((shed.status, shed.code()), (503, "overloaded") | (422, _)));
        shed.status == 503 && shed.header("retry-after") == "1"
    })
    .await;
    slow.write_all(b"{}").await.unwrap();
    assert!(read_head(&mut slow).await.starts_with("HTTP/1.1 422"));
    assert_eq!(shop.post("/orders", &shop.burger()).await.status, 202);
    shop.close().await;
}

#[tokio::test]
async fn a_request_that_is_under_way_is_finished_when_the_service_stops() {
    let shop = Shop::open().await;
    let body = shop.burger().to_string();
    let mut slow = connect(&shop, &format!("content-length: {}", body.len())).await;
    slow.write_all(&body.as_bytes()[..10]).await.unwrap();
    let connections = "larder_ingest_connections";
    testkit::wait_until("the connection to be taken", PATIENCE, async || {
        shop.metric(connections) > 0.5
    })
    .await;
    shop.context.shutdown.request();
    testkit::wait_until("the port to be closed", PATIENCE, async || {
        TcpStream::connect(shop.address()).await.is_err()
    })
    .await;
    slow.write_all(&body.as_bytes()[10..]).await.unwrap();
    assert!(answer(slow).await.starts_with("HTTP/1.1 202"));
    shop.close().await;
}

/// Sends the head of an order that says of its body what `length` says.
async fn connect(shop: &Shop, length: &str) -> TcpStream {
    let mut stream = TcpStream::connect(shop.address()).await.unwrap();
    let head = format!(
        "POST /orders HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Everything until the connection is closed.
async fn answer(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is as good an end as any.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the connection to be closed");
    String::from_utf8(answer).unwrap()
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8())
            .await
            .expect("an answer");
        head.push(byte.unwrap());
    }
    String::from_utf8(head).unwrap()
}
