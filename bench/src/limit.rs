//! The limit: the same topic read and decoded by the same code, and nothing else.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use schemas::{WriterSchema, events::OrderCreated, topics::ORDER_CREATED};
use stream::wire;
use testkit::Env;

use crate::figure::per_second;

/// Reads and decodes so many orders; how many a second that were.
pub(crate) fn read_and_decode(env: &Env, partitions: i32, orders: u64) -> Result<f64> {
    let consumer: BaseConsumer = env
        .kafka
        .client()
        .set("group.id", format!("{}limit", env.names().prefix))
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.max.messages.kbytes", "32768")
        .create()?;
    let topic = env.names().topic(&ORDER_CREATED);
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(&topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let schema = WriterSchema::<OrderCreated>::newest();
    let mut started = None;
    let mut read = 0;
    let mut lines = 0;
    while read < orders {
        let Some(message) = consumer.poll(Duration::from_secs(10)) else {
            break;
        };
        let message = message?;
        started.get_or_insert_with(Instant::now);
        if let Some((_, value)) = message.payload().and_then(wire::parse) {
            lines += schema.decode(value)?.lines.len();
        }
        read += 1;
    }
    ensure!(
        read == orders && lines > 0,
        "only {read} of {orders} orders are on the topic"
    );
    let started = started.expect("what was read began to be");
    Ok(per_second(orders, started.elapsed()))
}
