//! Reads `order_confirmed` all the while, and notes when it saw which order.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use schemas::{WriterSchema, events::OrderConfirmed, topics::ORDER_CONFIRMED};
use stream::wire;
use testkit::Env;
use uuid::Uuid;

/// How long the last order may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Watch {
    seen: Arc<Mutex<Vec<(Uuid, Instant)>>>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    /// Begins to read, from the topic's beginning.
    pub(super) fn start(env: &Env, partitions: i32) -> Result<Self> {
        let consumer: BaseConsumer = env
            .kafka
            .client()
            .set("group.id", format!("{}watch", env.names().prefix))
            .set("enable.auto.commit", "false")
            .create()?;
        let topic = env.names().topic(&ORDER_CONFIRMED);
        let mut all = TopicPartitionList::new();
        for partition in 0..partitions {
            all.add_partition_offset(&topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&all)?;
        let schema = WriterSchema::newest();
        let watch = Self {
            seen: Arc::default(),
            stop: Arc::default(),
        };
        let (seen, stop) = (Arc::clone(&watch.seen), Arc::clone(&watch.stop));
        thread::spawn(move || {
            while !stop.load(Ordering::Acquire) {
                if let Err(error) = look(&consumer, &schema, &seen) {
                    eprintln!("cannot read order_confirmed: {error:#}");
                }
            }
        });
        Ok(watch)
    }

    /// Waits until so many orders were seen since the last call, and returns when each was, which must be once.
    pub(super) async fn wait_for(&self, orders: usize) -> Result<HashMap<Uuid, Instant>> {
        let until = Instant::now() + PATIENCE;
        while lock(&self.seen).len() < orders && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let seen = mem::take(&mut *lock(&self.seen));
        let count = seen.len();
        let seen: HashMap<_, _> = seen.into_iter().collect();
        ensure!(
            count == orders && seen.len() == orders,
            "{count} confirmations of {} orders, {orders} were accepted",
            seen.len()
        );
        Ok(seen)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Notes the next order, if one comes soon.
fn look(
    consumer: &BaseConsumer,
    schema: &WriterSchema<OrderConfirmed>,
    seen: &Mutex<Vec<(Uuid, Instant)>>,
) -> Result<()> {
    let Some(message) = consumer.poll(Duration::from_millis(100)) else {
        return Ok(());
    };
    let at = Instant::now();
    let message = message?;
    let (_, value) = message
        .payload()
        .and_then(wire::parse)
        .context("a record without a value")?;
    let event: OrderConfirmed = schema.decode(value)?;
    lock(seen).push((event.order_id.get(), at));
    Ok(())
}

fn lock(seen: &Mutex<Vec<(Uuid, Instant)>>) -> MutexGuard<'_, Vec<(Uuid, Instant)>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
