//! Records off every partition of a topic, outside of any group.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    metadata::{MetadataPartition, MetadataTopic},
};
use stream::{KafkaConfig, Record};
use tokio::sync::mpsc;

const TIMEOUT: Duration = Duration::from_secs(10);
/// How soon the reading thread sees that nobody listens.
const POLL: Duration = Duration::from_millis(100);
/// Records read ahead of printing.
const AHEAD: usize = 256;

/// Reads on until the receiver is dropped.
pub(super) async fn start(
    kafka: &KafkaConfig,
    topic: String,
    partition: Option<i32>,
    from: Offset,
) -> Result<mpsc::Receiver<Result<Record, KafkaError>>> {
    let consumer: BaseConsumer = kafka
        .client()
        // Assigned by hand: the group is never joined and nothing is committed.
        .set("group.id", kafka.names.group("larder-tail"))
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    let consumer = tokio::task::spawn_blocking(move || {
        let assignment = assignment(&consumer, &topic, partition, from)?;
        consumer.assign(&assignment)?;
        anyhow::Ok(consumer)
    })
    .await??;
    let (sender, records) = mpsc::channel(AHEAD);
    std::thread::Builder::new()
        .name("tail".to_owned())
        .spawn(move || read(&consumer, &sender))?;
    Ok(records)
}

fn assignment(
    consumer: &BaseConsumer,
    topic: &str,
    partition: Option<i32>,
    from: Offset,
) -> Result<TopicPartitionList> {
    let metadata = consumer
        .fetch_metadata(Some(topic), TIMEOUT)
        .context("kafka does not answer: check KAFKA_BOOTSTRAP_SERVERS")?;
    let partitions = metadata
        .topics()
        .iter()
        .filter(|found| found.name() == topic && found.error().is_none());
    let partitions = partitions
        .flat_map(MetadataTopic::partitions)
        .map(MetadataPartition::id);
    let mut assignment = TopicPartitionList::new();
    for id in partitions.filter(|id| partition.is_none_or(|wanted| wanted == *id)) {
        // "end" is a place, not a moment that comes when the first fetch is answered.
        let offset = match from {
            Offset::End => Offset::Offset(consumer.fetch_watermarks(topic, id, TIMEOUT)?.1),
            other => other,
        };
        assignment.add_partition_offset(topic, id, offset)?;
    }
    if assignment.count() == 0 {
        match partition {
            Some(partition) => bail!("there is no partition {partition} of a topic {topic}: see `larder topics plan`"),
            None => bail!("there is no topic {topic}: see `larder topics plan` and --topic-prefix"),
        }
    }
    Ok(assignment)
}

fn read(consumer: &BaseConsumer, records: &mpsc::Sender<Result<Record, KafkaError>>) {
    while !records.is_closed() {
        let next = match consumer.poll(POLL) {
            None => continue,
            Some(Ok(message)) => Ok(Record::copy(&message)),
            // The client mends these by itself and says so in the log.
            Some(Err(error)) if is_passing(&error) => continue,
            Some(Err(error)) => Err(error),
        };
        if records.blocking_send(next).is_err() {
            return;
        }
    }
}

fn is_passing(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::PartitionEOF)
    )
}
