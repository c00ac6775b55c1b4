//! Requests made beforehand: orders of 1 to 4 lines at many merchants, each with its merchant's API key.

use anyhow::Result;
use fastrand::Rng;
use serde_json::json;
use store::seed::bulk::{self, Orderable, Shape};
use testkit::Env;

use crate::{http, load::Load};

/// So many different requests are sent again and again.
const REQUESTS: usize = 4096;
/// A key without a number yet; its digits are the end of the header.
const KEY_HEADER: &str = "Idempotency-Key";
const NO_KEY: &str = "00000000000000000000";

/// An order as bytes, with or without an `Idempotency-Key`.
pub(super) struct Request {
    bytes: Vec<u8>,
    key: Option<usize>,
}

/// Requests to choose from.
pub(super) struct Requests {
    plain: Vec<Request>,
    keyed: Vec<Request>,
}

impl Requests {
    /// Makes the merchants and what is asked of them.
    pub(super) async fn make(env: &Env, load: &Load) -> Result<Self> {
        let shape = Shape {
            merchants: load.merchants(),
            products: 20,
            ingredients: 30,
            lines: 4,
            level: 100_000_000_000,
        };
        bulk::merchants(&env.store, shape, |_| ()).await?;
        let merchants = bulk::orderable(&env.store, shape.merchants).await?;
        let keys: Vec<_> = merchants
            .iter()
            .map(|merchant| {
                (
                    merchant.merchant_id,
                    format!("larder_bench_key_{}", merchant.merchant_id),
                )
            })
            .collect();
        bulk::add_api_keys(&env.store, &keys).await?;
        let mut random = Rng::with_seed(load.seed);
        let (mut plain, mut keyed) = (Vec::with_capacity(REQUESTS), Vec::with_capacity(REQUESTS));
        for _ in 0..REQUESTS {
            let at = random.usize(..merchants.len());
            let body = body(&mut random, &merchants[at]);
            let authorization = format!("Bearer {}", keys[at].1);
            plain.push(Request::new(&authorization, false, &body));
            keyed.push(Request::new(&authorization, true, &body));
        }
        Ok(Self { plain, keyed })
    }

    /// Those with an `Idempotency-Key`, or those without.
    pub(super) fn of(&self, keyed: bool) -> &[Request] {
        if keyed { &self.keyed } else { &self.plain }
    }
}

impl Request {
    fn new(authorization: &str, keyed: bool, body: &str) -> Self {
        let mut headers = vec![("Authorization", authorization)];
        if keyed {
            headers.push((KEY_HEADER, NO_KEY));
        }
        let bytes = http::request("POST", "/orders", &headers, body);
        let key = keyed.then(|| {
            let at = bytes
                .windows(NO_KEY.len())
                .position(|digits| digits == NO_KEY.as_bytes());
            at.expect("the header was written just now")
        });
        Self { bytes, key }
    }

    /// What is sent, under a key that no other request of this number's kind has.
    pub(super) fn write(&self, number: u64, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&self.bytes);
        if let Some(at) = self.key {
            let digits = format!("{number:0width$}", width = NO_KEY.len());
            buffer[at..at + NO_KEY.len()].copy_from_slice(digits.as_bytes());
        }
    }
}

fn body(random: &mut Rng, merchant: &Orderable) -> String {
    let items: Vec<_> = (0..random.usize(1..=4))
        .map(|_| {
            json!({
                "product_id": merchant.product_ids[random.usize(..merchant.product_ids.len())],
                "quantity": random.i32(1..=3),
            })
        })
        .collect();
    json!({ "customer_id": merchant.customer_id, "items": items }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_a_key_of_its_own() {
        let request = Request::new("Bearer k", true, "{}");
        let mut buffer = Vec::new();
        request.write(42, &mut buffer);
        let text = std::str::from_utf8(&buffer).expect("text");
        assert!(text.contains("\r\nIdempotency-Key: 00000000000000000042\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n{}"), "{text}");
    }
}
