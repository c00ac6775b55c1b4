//! A backlog: orders on `order_created`, as order-ingest would have written them.

use std::time::{Duration, Instant};

use anyhow::Result;
use domain::{amount::Minor, ids::OrderId, money::Currency};
use fastrand::Rng;
use schemas::events::{Micros, OrderCreated, OrderLine};
use store::seed::bulk::{self, Orderable, Shape};
use stream::{Batch, Producer, ProducerTuning, SendError, cloud_events};
use testkit::Env;
use uuid::Uuid;

use crate::figure::{float, per_second};

const PRICE: i64 = 950;
pub(crate) const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Who orders from whom.
pub(crate) struct Catalogue {
    merchants: Vec<Orderable>,
    /// Where merchants are not drawn evenly: how many of all orders go to each merchant and those before it.
    shares: Option<Vec<f64>>,
}

impl Catalogue {
    /// The same merchants, drawn by Zipf's law with exponent 1: the n-th gets an n-th of what the first gets.
    pub(crate) fn by_zipf(self) -> Self {
        let shares = (1..=self.merchants.len())
            .scan(0.0, |sum, rank| {
                *sum += 1.0 / float(rank as u64);
                Some(*sum)
            })
            .collect();
        Self {
            shares: Some(shares),
            ..self
        }
    }

    fn draw(&self, random: &mut Rng) -> &Orderable {
        let index = match &self.shares {
            None => random.usize(..self.merchants.len()),
            Some(shares) => {
                let point = random.f64() * shares.last().copied().unwrap_or_default();
                shares.partition_point(|share| *share <= point).min(shares.len() - 1)
            }
        };
        &self.merchants[index]
    }
}

/// Makes merchants of 20 products and 30 ingredients, 4 ingredients a product, with stock for everybody.
pub(crate) async fn catalogue(env: &Env, merchants: i64) -> Result<Catalogue> {
    let shape = Shape {
        merchants,
        products: 20,
        ingredients: 30,
        lines: 4,
        level: 100_000_000_000,
    };
    bulk::merchants(&env.store, shape, |_| ()).await?;
    Ok(Catalogue {
        merchants: bulk::orderable(&env.store, merchants).await?,
        shares: None,
    })
}

/// Writes so many orders of 1 to 4 lines, drawn from `seed`. Returns how many a second that were.
pub(crate) async fn write(env: &Env, catalogue: &Catalogue, orders: u64, seed: u64) -> Result<f64> {
    let writer = env.schemas().writer::<OrderCreated>().await?;
    let tuning = ProducerTuning {
        linger: Duration::from_millis(5),
        message_timeout: Duration::from_mins(2),
        queue_records: 200_000,
        queue_kbytes: 128 * 1024,
    };
    let producer = Producer::new(&env.kafka, &tuning)?;
    let topic = env.names().topic(&schemas::topics::ORDER_CREATED);
    let batch = Batch::new();
    let mut random = Rng::with_seed(seed);
    let started = Instant::now();
    for _ in 0..orders {
        let order = order(&mut random, catalogue);
        let value = writer.encode(&order)?;
        let key = order.merchant_id.to_string();
        let headers = cloud_events(
            &schemas::topics::ORDER_CREATED,
            order.order_id,
            order.placed_at,
            Some(TRACE),
        );
        loop {
            match producer.send_in(&batch, &topic, Some(key.as_bytes()), Some(&value), headers.clone()) {
                Err(SendError::QueueFull) => tokio::time::sleep(Duration::from_millis(2)).await,
                done => break done?,
            }
        }
    }
    batch.acknowledged().await?;
    Ok(per_second(orders, started.elapsed()))
}

fn order(random: &mut Rng, catalogue: &Catalogue) -> OrderCreated {
    let merchant = catalogue.draw(random);
    let price = Minor::new(PRICE).expect("a price is not negative");
    let lines: Vec<OrderLine> = (0..random.usize(1..=4))
        .map(|_| OrderLine {
            product_id: merchant.product_ids[random.usize(..merchant.product_ids.len())],
            quantity: random.i32(1..=3),
            unit_price_minor: price,
        })
        .collect();
    let count: i64 = lines.iter().map(|line| i64::from(line.quantity)).sum();
    OrderCreated {
        order_id: OrderId::new(Uuid::now_v7()),
        merchant_id: merchant.merchant_id,
        customer_id: merchant.customer_id,
        customer_email: Some("load@load.example".to_owned()),
        currency: Currency::parse("EUR").expect("a currency"),
        lines,
        total_minor: price.times(count).expect("a small total"),
        placed_at: Micros(1_763_600_000_000_000),
        request_hash: None,
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::{CustomerId, MerchantId};

    use super::*;

    #[test]
    fn by_zipf_the_first_merchant_gets_twice_what_the_second_gets() {
        let merchants = (0..3).map(|id| Orderable {
            merchant_id: MerchantId::new(id),
            customer_id: CustomerId::new(1),
            product_ids: Vec::new(),
        });
        let catalogue = Catalogue {
            merchants: merchants.collect(),
            shares: None,
        };
        let catalogue = catalogue.by_zipf();
        let mut random = Rng::with_seed(7);
        let mut drawn = [0; 3];
        for _ in 0..11_000 {
            drawn[usize::try_from(catalogue.draw(&mut random).merchant_id.get()).unwrap()] += 1;
        }
        for (drawn, expected) in drawn.into_iter().zip([6000_i32, 3000, 2000]) {
            assert!((drawn - expected).abs() < 200, "{drawn} instead of {expected}");
        }
    }
}
