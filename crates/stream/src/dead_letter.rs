//! Dead letters: a record that cannot be handled goes aside as it was, with the reason, and the partition moves on.

use std::{sync::Arc, time::Duration};

use rdkafka::message::Header;
use schemas::Topic;

use crate::{
    config::{KafkaConfig, Names},
    headers::{now, rfc3339},
    producer::{Batch, DeliveryError, Producer, ProducerTuning, SendError},
    record::Record,
};

/// Why a record was put aside, as the headers of the dead letter say it.
#[derive(Clone, Copy, Debug)]
pub struct Why<'a> {
    /// A word for programs: `undecodable`, `smtp_rejected`, ….
    pub reason: &'a str,
    /// A sentence for people.
    pub detail: &'a str,
    /// How often it was tried.
    pub attempts: u32,
}

/// A dead letter could not be written; the record must not be passed over.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// It was not taken.
    #[error(transparent)]
    Send(#[from] SendError),
    /// It was not acknowledged.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
}

/// Writes the dead letters of one group.
#[derive(Clone)]
pub struct DeadLetters {
    producer: Producer,
    names: Names,
    group: &'static str,
}

impl DeadLetters {
    /// The dead letters of a group, by a producer that is there already.
    #[must_use]
    pub fn new(producer: Producer, names: Names, group: &'static str) -> Self {
        Self { producer, names, group }
    }

    /// The dead letters of a group that produces nothing else.
    pub fn connect(kafka: &KafkaConfig, group: &'static str) -> Result<Self, rdkafka::error::KafkaError> {
        let tuning = ProducerTuning {
            linger: Duration::ZERO,
            message_timeout: Duration::from_secs(30),
            queue_records: 1000,
            queue_kbytes: 16 * 1024,
        };
        Ok(Self::new(Producer::new(kafka, &tuning)?, kafka.names.clone(), group))
    }

    /// Puts a record of `topic` aside and waits until that is stored.
    pub async fn put(&self, topic: &Topic, record: &Record, why: Why<'_>) -> Result<(), DeadLetterError> {
        let batch = Batch::new();
        self.send_in(&batch, topic, record, why)?;
        Ok(batch.acknowledged().await?)
    }

    /// Puts one of several records aside; the batch says when that is stored.
    pub fn send_in(&self, batch: &Arc<Batch>, topic: &Topic, record: &Record, why: Why<'_>) -> Result<(), SendError> {
        let at = rfc3339(now());
        let said = [
            ("dlq_reason", why.reason.to_owned()),
            ("dlq_detail", why.detail.to_owned()),
            ("dlq_group", self.names.group(self.group)),
            ("dlq_topic", record.topic.clone()),
            ("dlq_partition", record.partition.to_string()),
            ("dlq_offset", record.offset.to_string()),
            ("dlq_attempts", why.attempts.to_string()),
            ("dlq_at", at),
        ];
        let headers = said.iter().fold(record.owned_headers(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        });
        let key = record.key.as_deref();
        let value = record.value.as_deref();
        self.producer
            .send_in(batch, &self.names.dead_letters(topic, self.group), key, value, headers)
    }
}
