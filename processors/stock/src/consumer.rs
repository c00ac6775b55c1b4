//! The consumer as the polling thread needs it: rebalances wait for the loop, offsets are given, never guessed.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use stream::KafkaConfig;

use crate::config::Args;

/// What the group says.
pub(crate) enum Rebalance {
    Assigned(TopicPartitionList),
    Revoked,
}

/// Keeps rebalances for the loop, which knows what to do before it answers.
#[derive(Default)]
pub(crate) struct Rebalances {
    pub(crate) waiting: Mutex<Vec<Rebalance>>,
    /// The loop has ended: what comes now is answered at once, or closing the consumer would wait for ever.
    pub(crate) closing: AtomicBool,
}

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Acquire) {
            // Nothing is ours any more, and nobody is left to tell of an error.
            let _ = consumer.unassign();
            return;
        }
        let event = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assigned(partitions.clone()),
            // Anything else is an error, and then nothing is ours.
            _ => Rebalance::Revoked,
        };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

pub(crate) type StockConsumer = BaseConsumer<Rebalances>;

/// A consumer that fetches as fast as the workers take, in the group of the stock-processor.
pub(crate) fn consumer(kafka: &KafkaConfig, args: &Args) -> Result<StockConsumer, KafkaError> {
    kafka
        .client()
        .set("group.id", kafka.names.group(schemas::topics::STOCK_GROUP))
        .set("enable.auto.commit", "false")
        // Every partition is given an offset. One that is not there any more is looked into, never jumped over.
        .set("auto.offset.reset", "error")
        // How soon a topic that was deleted or made anew is noticed.
        .set("topic.metadata.refresh.interval.ms", "10000")
        // Same-numbered partitions of every topic go to the same member.
        .set("partition.assignment.strategy", "range")
        .set(
            "session.timeout.ms",
            (u32::from(args.session_timeout_s) * 1000).to_string(),
        )
        .set(
            "max.poll.interval.ms",
            (u32::from(args.session_timeout_s) * 1000).max(300_000).to_string(),
        )
        // The default of a second stalls a backlog whenever the local queue was full.
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.error.backoff.ms", "100")
        .create_with_context(Rebalances::default())
}

/// Whether an error says that a log is not the one that was read, or begins behind where it was read.
pub(crate) const fn is_of_another_log(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::AutoOffsetReset
            | RDKafkaErrorCode::OffsetOutOfRange
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
    )
}
