//! Telling what was decided: events with ids that a repeat has again, and what comes after they are stored.
//!
//! Batch k is published here while the worker applies batch k + 1.

use std::{sync::Arc, time::Duration};

use stream::{
    Batch, DeadLetters, DeliveryError, KafkaConfig, Producer, ProducerTuning, SendError, consume::chain,
    dead_letter::Why, event_headers,
};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::{
    metrics::Metrics,
    outbox::{Aside, Channel, Letter, Outbox, Sending},
    poll::ToPoll,
    shard::Published,
    source::Source,
};

/// After so many records the others of the thread get their turn.
const TURN: usize = 256;

/// What a worker hands over.
pub(crate) enum Publication {
    /// Tell these, then note how far that is.
    Tell { told: Outbox, then: Vec<Mark> },
    /// Everything before this is told.
    Flushed(oneshot::Sender<()>),
}

/// How far a shard has come when a publication is stored.
pub(crate) struct Mark {
    pub(crate) published: Arc<Published>,
    pub(crate) source: Source,
    pub(crate) shard: i32,
    pub(crate) next: i64,
}

impl Mark {
    /// Whether it says more than is known to be published.
    pub(crate) fn is_news(&self) -> bool {
        self.published.get(self.source) < self.next
    }
}

/// Why something is not published yet.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
}

/// The way to everything the stock-processor says.
///
/// Two producers, because how long a record waits for company is set per producer: few events are to be read at once, many
/// are to travel in few requests. A worker's next publication begins when all of this one is acknowledged, so the order
/// within a partition is kept over both.
pub(crate) struct Publisher {
    prompt: Producer,
    bulk: Producer,
    dead_letters: DeadLetters,
    /// By channel.
    topics: [String; Channel::ALL.len()],
    metrics: Arc<Metrics>,
}

/// From so many events on they go in bulk.
const BULK_FROM: usize = 1000;

const PROMPT: ProducerTuning = ProducerTuning {
    linger: Duration::ZERO,
    message_timeout: Duration::from_mins(1),
    queue_records: 20_000,
    queue_kbytes: 32 * 1024,
};

const BULK: ProducerTuning = ProducerTuning {
    linger: Duration::from_millis(5),
    queue_records: 40_000,
    queue_kbytes: 32 * 1024,
    ..PROMPT
};

impl Publisher {
    pub(crate) fn new(kafka: &KafkaConfig, metrics: Arc<Metrics>) -> Result<Self, rdkafka::error::KafkaError> {
        let prompt = Producer::new(kafka, &PROMPT)?;
        Ok(Self {
            bulk: Producer::new(kafka, &BULK)?,
            dead_letters: DeadLetters::new(prompt.clone(), kafka.names.clone(), schemas::topics::STOCK_GROUP),
            prompt,
            topics: Channel::ALL.map(|channel| kafka.names.topic(channel.topic())),
            metrics,
        })
    }

    /// Publishes what one worker hands over, in its order, until the worker is gone.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut publications: mpsc::Receiver<Publication>,
        to_poll: std::sync::mpsc::Sender<ToPoll>,
    ) {
        while let Some(publication) = publications.recv().await {
            let (told, then) = match publication {
                Publication::Tell { told, then } => (told, then),
                Publication::Flushed(done) => {
                    // Nobody may be waiting any more.
                    let _ = done.send(());
                    continue;
                }
            };
            let timer = self.metrics.publish_seconds.start_timer();
            let mut pause = Duration::from_millis(50);
            while let Err(error) = self.tell(&told).await {
                error!(error = %chain(&error), "cannot publish outcomes: will publish them again under the same ids");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            timer.observe_duration();
            for mark in then {
                mark.published.set(mark.source, mark.next);
                // The polling thread ends first when the process stops; the offset is a hint only.
                let _ = to_poll.send(ToPoll::Commit(mark.source, mark.shard, mark.next));
            }
        }
    }

    async fn tell(&self, told: &Outbox) -> Result<(), PublishError> {
        let batch = Batch::new();
        let producer = if told.len() < BULK_FROM {
            &self.prompt
        } else {
            &self.bulk
        };
        for (at, sending) in told.sendings().enumerate() {
            match sending {
                Sending::Letter(letter) => self.send(producer, &batch, &letter).await?,
                Sending::Aside(aside) => self.put_aside(&batch, aside).await?,
            }
            if at % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(batch.acknowledged().await?)
    }

    async fn send(&self, producer: &Producer, batch: &Arc<Batch>, letter: &Letter<'_>) -> Result<(), PublishError> {
        let topic = &self.topics[letter.channel as usize];
        retry_full(|| {
            // Made anew for each try: a copy would cost every record what a full queue costs a few.
            let headers = event_headers(letter.channel.topic(), letter.id, letter.time, letter.trace);
            let key = Some(letter.key.as_bytes());
            producer.send_in(batch, topic, key, Some(letter.value), headers)
        })
        .await
    }

    async fn put_aside(&self, batch: &Arc<Batch>, aside: &Aside) -> Result<(), PublishError> {
        let Aside {
            source,
            record,
            reason,
            detail,
        } = aside;
        warn!(topic = record.topic, partition = record.partition, offset = record.offset, %reason, detail, "put the record aside");
        let why = Why {
            reason,
            detail,
            attempts: 1,
        };
        retry_full(|| self.dead_letters.send_in(batch, source.topic(), record, why)).await
    }
}

/// Waits while the producer's queue is full: the broker takes them as fast as it can.
async fn retry_full(mut send: impl FnMut() -> Result<(), SendError>) -> Result<(), PublishError> {
    loop {
        match send() {
            Err(SendError::QueueFull) => tokio::time::sleep(Duration::from_millis(2)).await,
            done => return Ok(done?),
        }
    }
}
