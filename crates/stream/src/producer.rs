//! The producer: idempotent, acknowledged by all in-sync replicas, never blocking, bounded.
//!
//! Acknowledgements arrive as delivery callbacks and are counted per [`Batch`]; nothing is flushed, because a flush
//! of rust-rdkafka takes 100 ms steps however soon the broker answers.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientContext, Message as _,
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedHeaders,
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
};
use tokio::sync::Notify;

use crate::{config::KafkaConfig, topics::MAX_DEAD_LETTER_BYTES};

/// What differs between one producer and another.
#[derive(Clone, Copy, Debug)]
pub struct ProducerTuning {
    /// How long a record waits for others to share its request.
    pub linger: Duration,
    /// How long a record may take in all before it is given up and so reported.
    pub message_timeout: Duration,
    /// The most records that wait to be acknowledged.
    pub queue_records: u32,
    /// The most memory they take, in KiB.
    pub queue_kbytes: u32,
}

/// A record was not taken; nothing of it will be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// As much as may wait is waiting.
    #[error("the producer's queue is full: kafka does not keep up or is away")]
    QueueFull,
    /// It can never be sent as it is.
    #[error("kafka's client refuses the record")]
    Kafka(#[source] KafkaError),
}

/// A record was given up: it is not known to be stored.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("kafka did not acknowledge in time: {0}")]
pub struct DeliveryError(pub RDKafkaErrorCode);

/// Counts the acknowledgements of records that belong together.
#[derive(Debug, Default)]
pub struct Batch {
    waiting: AtomicUsize,
    done: Notify,
    failed: OnceLock<DeliveryError>,
    position: OnceLock<(i32, i64)>,
}

impl Batch {
    /// A batch of nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until every record sent so far is acknowledged or given up; fails if one was.
    pub async fn acknowledged(&self) -> Result<(), DeliveryError> {
        loop {
            let done = self.done.notified();
            if self.waiting.load(Ordering::Acquire) == 0 {
                break;
            }
            done.await;
        }
        self.failed.get().map_or(Ok(()), |error| Err(*error))
    }

    fn settle(&self, result: Result<(i32, i64), DeliveryError>) {
        // Only the first failure and the first position are of use; the rest is lost on purpose.
        match result {
            Ok(position) => drop(self.position.set(position)),
            Err(error) => drop(self.failed.set(error)),
        }
        if self.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_waiters();
        }
    }
}

/// The acknowledgement of one record.
#[derive(Debug)]
pub struct Delivery(Arc<Batch>);

impl Delivery {
    /// What was acknowledged already: for whoever takes records in Kafka's place.
    #[must_use]
    pub fn settled(partition: i32, offset: i64) -> Self {
        Self(Arc::new(Batch {
            position: OnceLock::from((partition, offset)),
            ..Batch::default()
        }))
    }

    /// Waits for it: where the record now stands, as (partition, offset).
    pub async fn acknowledged(self) -> Result<(i32, i64), DeliveryError> {
        self.0.acknowledged().await?;
        Ok(*self
            .0
            .position
            .get()
            .expect("a delivery that did not fail has a position"))
    }
}

struct Acknowledgements;

impl ClientContext for Acknowledgements {}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Batch>) {
        batch.settle(match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(DeliveryError(
                error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail),
            )),
        });
    }
}

/// Sends records. Cheap to clone; the last clone to go drops what is not yet sent.
#[derive(Clone)]
pub struct Producer {
    inner: Arc<ThreadedProducer<Acknowledgements>>,
}

impl Producer {
    /// Prepares to send; the connection is made in the background.
    pub fn new(kafka: &KafkaConfig, tuning: &ProducerTuning) -> Result<Self, KafkaError> {
        let inner = kafka
            .client()
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // Java's default, so that a key lies where every other client expects it.
            .set("partitioner", "murmur2")
            .set("linger.ms", (tuning.linger.as_secs_f64() * 1000.0).to_string())
            .set("message.timeout.ms", tuning.message_timeout.as_millis().to_string())
            .set("queue.buffering.max.messages", tuning.queue_records.to_string())
            .set("queue.buffering.max.kbytes", tuning.queue_kbytes.to_string())
            .set("batch.size", "524288")
            // As much as a topic of dead letters takes; the others refuse at their own, lower limit.
            .set("message.max.bytes", MAX_DEAD_LETTER_BYTES.to_string())
            .set("compression.type", "lz4")
            .create_with_context(Acknowledgements)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Hands one record over. Never blocks.
    pub fn send(&self, topic: &str, key: &str, value: &[u8], headers: OwnedHeaders) -> Result<Delivery, SendError> {
        let batch = Batch::new();
        self.send_in(&batch, topic, Some(key.as_bytes()), Some(value), headers)?;
        Ok(Delivery(batch))
    }

    /// Hands one of several records over. Never blocks. A record that is refused does not count in the batch.
    pub fn send_in(
        &self,
        batch: &Arc<Batch>,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: OwnedHeaders,
    ) -> Result<(), SendError> {
        batch.waiting.fetch_add(1, Ordering::AcqRel);
        let mut record = BaseRecord::with_opaque_to(topic, Arc::clone(batch)).headers(headers);
        (record.key, record.payload) = (key, value);
        self.inner.send(record).map_err(|(error, _)| {
            // The last of a batch may be refused while somebody waits for the others.
            if batch.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
                batch.done.notify_waiters();
            }
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => SendError::QueueFull,
                _ => SendError::Kafka(error),
            }
        })
    }

    /// How many records wait to be acknowledged.
    #[must_use]
    pub fn in_flight(&self) -> i32 {
        self.inner.in_flight_count()
    }

    /// Asks the cluster for the number of partitions of a topic. Blocks up to `timeout`.
    pub fn partitions(&self, topic: &str, timeout: Duration) -> Result<usize, KafkaError> {
        let metadata = self.inner.client().fetch_metadata(Some(topic), timeout)?;
        Ok(metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic)
            .map_or(0, |found| found.partitions().len()))
    }
}
