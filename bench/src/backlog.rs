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

const PRICE: i64 = 950;
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Who orders from whom.
pub(crate) struct Catalogue {
    merchants: Vec<Orderable>,
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
    })
}

/// Writes so many orders of 1 to 4 lines, merchants drawn evenly from `seed`. Returns how many a second that were.
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
        let order = order(&mut random, &catalogue.merchants);
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
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
    Ok(orders as f64 / started.elapsed().as_secs_f64())
}

fn order(random: &mut Rng, merchants: &[Orderable]) -> OrderCreated {
    let merchant = &merchants[random.usize(..merchants.len())];
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
