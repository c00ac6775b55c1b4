//! Merchants, their keys, and what is ordered from them.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use fastrand::Rng;
use serde_json::json;
use store::seed::bulk::{self, Orderable, Shape};
use testkit::Env;

use crate::{http, pace::Plan};

/// Different orders of each merchant.
const ORDERS: usize = 4;

/// Requests made beforehand: those of every day, then of each merchant that is to cross a small one, then of each the one
/// that crosses.
pub(super) struct Shop {
    requests: Arc<[Vec<u8>]>,
    everyday: usize,
    crossings: usize,
}

impl Shop {
    /// Merchants with stock for everybody, and behind them some with one ingredient that is soon below half.
    pub(super) async fn open(env: &Env, merchants: i64, crossings: usize, seed: u64) -> Result<Self> {
        let everyday = Shape {
            merchants,
            products: 20,
            ingredients: 30,
            lines: 4,
            level: 100_000_000_000,
        };
        bulk::merchants(&env.store, everyday, |_| ()).await?;
        // A product takes 10 of it: 100 are 90 after the small order and 30 after the one of six.
        let crossing = Shape {
            merchants: merchants + i64::try_from(crossings)?,
            products: 1,
            ingredients: 1,
            lines: 1,
            level: 100,
        };
        bulk::merchants(&env.store, crossing, |_| ()).await?;
        let all = bulk::orderable(&env.store, crossing.merchants).await?;
        let keys: Vec<_> = all
            .iter()
            .map(|merchant| (merchant.merchant_id, key(merchant)))
            .collect();
        bulk::add_api_keys(&env.store, &keys).await?;

        let (all, crossing) = all.split_at(usize::try_from(merchants)?);
        let mut random = Rng::with_seed(seed);
        let mut requests = Vec::new();
        // One of each merchant, then the next of each: so a warm-up soon knows all of them.
        for _ in 0..ORDERS {
            requests.extend(all.iter().map(|merchant| some(merchant, &mut random)));
        }
        let everyday = requests.len();
        for quantity in [1, 6] {
            requests.extend(crossing.iter().map(|merchant| request(merchant, &[(0, quantity)])));
        }
        Ok(Self {
            requests: requests.into(),
            everyday,
            crossings: crossing.len(),
        })
    }

    /// Orders that change nothing but stock.
    pub(super) fn everyday(&self, rate: u32, time: Duration) -> Plan {
        let count = usize::try_from(u64::from(rate) * time.as_secs()).unwrap_or(usize::MAX);
        self.plan(rate, (0..count).map(|number| number % self.everyday))
    }

    /// The same, and the small orders of the merchants that are to cross.
    pub(super) fn warm_up(&self, rate: u32, time: Duration) -> Plan {
        let mut plan = self.everyday(rate, time);
        plan.order.extend(self.everyday..self.everyday + self.crossings);
        plan
    }

    /// The first of every so many orders crosses: that of number `n × every` the n-th merchant's.
    pub(super) fn crossing(&self, rate: u32, every: usize) -> Plan {
        let order = (0..self.crossings * every).map(|number| match number % every {
            0 => self.everyday + self.crossings + number / every,
            _ => number % self.everyday,
        });
        self.plan(rate, order)
    }

    /// Which crossing a mail tells of.
    pub(super) fn crossing_of(&self, subject: &str) -> Option<usize> {
        let name = subject.strip_prefix("Load ")?.split(':').next()?;
        let crossing = name.parse::<usize>().ok()?.checked_sub(self.everyday / ORDERS + 1)?;
        (crossing < self.crossings).then_some(crossing)
    }

    fn plan(&self, rate: u32, order: impl Iterator<Item = usize>) -> Plan {
        Plan {
            rate,
            requests: Arc::clone(&self.requests),
            order: order.collect(),
        }
    }
}

fn key(merchant: &Orderable) -> String {
    format!("bench-{}", merchant.merchant_id)
}

/// 1 to 4 lines of 1 to 3 of something.
fn some(merchant: &Orderable, random: &mut Rng) -> Vec<u8> {
    let lines: Vec<_> = (0..random.usize(1..=4))
        .map(|_| (random.usize(..merchant.product_ids.len()), random.u32(1..=3)))
        .collect();
    request(merchant, &lines)
}

fn request(merchant: &Orderable, lines: &[(usize, u32)]) -> Vec<u8> {
    let items: Vec<_> = lines
        .iter()
        .map(|(product, quantity)| json!({ "product_id": merchant.product_ids[*product], "quantity": quantity }))
        .collect();
    let body = json!({ "customer_id": merchant.customer_id, "items": items });
    let authorization = format!("Bearer {}", key(merchant));
    http::request(
        "POST",
        "/orders",
        &[("Authorization", &authorization)],
        &body.to_string(),
    )
}
