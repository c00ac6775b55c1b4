//! A rate of wrong results is no rate: every order that was acknowledged is on the topic, once, and no other is.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use schemas::{WriterSchema, events::OrderCreated, topics::ORDER_CREATED};
use stream::wire;
use testkit::Env;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(10);

/// Compares the topic with what was acknowledged.
pub(super) async fn stored(env: &Env, mut accepted: Vec<Uuid>) -> Result<()> {
    let topic = env.names().topic(&ORDER_CREATED);
    let ends = env.ends(&topic).await;
    let kafka = env.kafka.client();
    let mut stored = tokio::task::spawn_blocking(move || read(kafka, &topic, &ends)).await??;
    accepted.sort_unstable();
    stored.sort_unstable();
    if accepted == stored {
        return Ok(());
    }
    let missing = accepted.iter().filter(|id| stored.binary_search(id).is_err()).count();
    let twice = stored.windows(2).filter(|pair| pair[0] == pair[1]).count();
    bail!(
        "{} orders were acknowledged and {} are on the topic: {missing} are missing there, {twice} are there again",
        accepted.len(),
        stored.len()
    )
}

fn read(mut kafka: rdkafka::ClientConfig, topic: &str, ends: &[i64]) -> Result<Vec<Uuid>> {
    let consumer: BaseConsumer = kafka
        .set("group.id", format!("{topic}.verify"))
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..ends.len() {
        all.add_partition_offset(topic, i32::try_from(partition)?, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let schema = WriterSchema::<OrderCreated>::newest();
    let records = usize::try_from(ends.iter().sum::<i64>())?;
    let mut ids = Vec::with_capacity(records);
    while ids.len() < records {
        let message = consumer.poll(PATIENCE);
        let Some(message) = message.transpose()? else {
            bail!("only {} of {records} orders can be read from {topic}", ids.len());
        };
        let value = message.payload().and_then(wire::parse);
        ensure!(value.is_some(), "a record of {topic} is not in the wire format");
        if let Some((_, value)) = value {
            ids.push(schema.decode(value)?.order_id.get());
        }
    }
    Ok(ids)
}
