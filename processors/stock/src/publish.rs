//! Telling what was decided: events with ids that a repeat has again, and what comes after they are stored.
//!
//! Batch k is published here while the worker applies batch k + 1.

use std::{sync::Arc, time::Duration};

use schemas::{
    EncodeError, Event,
    events::{Micros, Notify, OrderConfirmed, StockRejected, StockReserved},
};
use stream::{
    Batch, DeadLetters, DeliveryError, KafkaConfig, Names, Producer, ProducerTuning, Registry, RegistryError,
    SendError, Writer, cloud_events, consume::chain, dead_letter::Why, headers,
};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::{
    metrics::Metrics,
    poll::ToPoll,
    shard::Published,
    source::Source,
    told::{Told, What, notify},
};

/// What a worker hands over.
pub(crate) enum Publication {
    /// Tell these, then note how far that is.
    Tell { told: Vec<Told>, then: Vec<Mark> },
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
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The writers and topics of everything the stock-processor says.
pub(crate) struct Publisher {
    producer: Producer,
    dead_letters: DeadLetters,
    names: Names,
    reserved: Channel<StockReserved>,
    rejected: Channel<StockRejected>,
    confirmed: Channel<OrderConfirmed>,
    notify: Channel<Notify>,
    metrics: Arc<Metrics>,
}

/// One topic, ready to be written.
struct Channel<E> {
    topic: String,
    writer: Writer<E>,
}

impl<E: Event> Channel<E> {
    async fn open(registry: &Registry, names: &Names) -> Result<Self, RegistryError> {
        Ok(Self {
            topic: names.topic(E::TOPIC),
            writer: registry.writer().await?,
        })
    }
}

/// What the stock-processor's producer is set to: nothing lingers, much may wait.
const TUNING: ProducerTuning = ProducerTuning {
    linger: Duration::from_millis(1),
    message_timeout: Duration::from_mins(1),
    queue_records: 200_000,
    queue_kbytes: 96 * 1024,
};

impl Publisher {
    pub(crate) fn producer(kafka: &KafkaConfig) -> Result<Producer, rdkafka::error::KafkaError> {
        Producer::new(kafka, &TUNING)
    }

    pub(crate) async fn open(
        producer: Producer,
        registry: &Registry,
        names: &Names,
        metrics: Arc<Metrics>,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            dead_letters: DeadLetters::new(producer.clone(), names.clone(), schemas::topics::STOCK_GROUP),
            producer,
            names: names.clone(),
            reserved: Channel::open(registry, names).await?,
            rejected: Channel::open(registry, names).await?,
            confirmed: Channel::open(registry, names).await?,
            notify: Channel::open(registry, names).await?,
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

    async fn tell(&self, told: &[Told]) -> Result<(), PublishError> {
        let batch = Batch::new();
        for one in told {
            self.tell_one(&batch, one).await?;
        }
        Ok(batch.acknowledged().await?)
    }

    async fn tell_one(&self, batch: &Arc<Batch>, told: &Told) -> Result<(), PublishError> {
        let trace = told.record.header(headers::TRACEPARENT);
        match &told.what {
            What::Accepted(reserved, confirmed) => {
                let id = format!("{}-reserved", reserved.order_id);
                self.send(batch, &self.reserved, reserved, &id, reserved.reserved_at, trace)
                    .await?;
                let id = format!("{}-confirmed", confirmed.order_id);
                self.send(batch, &self.confirmed, confirmed, &id, confirmed.confirmed_at, trace)
                    .await?;
            }
            What::Rejected(event) => {
                let id = format!("{}-rejected", event.order_id);
                self.send(batch, &self.rejected, event, &id, event.rejected_at, trace)
                    .await?;
            }
            What::Moved => {}
            What::DeadLetter { reason, detail } => {
                let topic = told.record.source.topic();
                let record = told.record.to_record(self.names.topic(topic));
                warn!(topic = record.topic, partition = record.partition, offset = record.offset, %reason, detail, "put the record aside");
                self.retry_full(|| {
                    self.dead_letters.send_in(
                        batch,
                        topic,
                        &record,
                        Why {
                            reason,
                            detail,
                            attempts: 1,
                        },
                    )
                })
                .await?;
            }
        }
        for alert in &told.alerts {
            let id = alert.id.to_string();
            self.send(batch, &self.notify, &notify(alert), &id, alert.raised_at, trace)
                .await?;
        }
        Ok(())
    }

    async fn send<E: Event>(
        &self,
        batch: &Arc<Batch>,
        channel: &Channel<E>,
        event: &E,
        id: &str,
        at: Micros,
        trace: Option<&str>,
    ) -> Result<(), PublishError> {
        let value = channel.writer.encode(event)?;
        let key = event.merchant().to_string();
        self.retry_full(|| {
            // Made anew for each try: a copy would cost every record what a full queue costs a few.
            let headers = cloud_events(E::TOPIC, id, at, trace);
            self.producer
                .send_in(batch, &channel.topic, Some(key.as_bytes()), Some(&value), headers)
        })
        .await
    }

    /// Waits while the producer's queue is full: the broker takes them as fast as it can.
    async fn retry_full(&self, mut send: impl FnMut() -> Result<(), SendError>) -> Result<(), PublishError> {
        loop {
            match send() {
                Err(SendError::QueueFull) => tokio::time::sleep(Duration::from_millis(2)).await,
                done => return Ok(done?),
            }
        }
    }
}
