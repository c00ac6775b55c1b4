//! Telling what was decided: events with ids that a repeat has again, and what comes after they are stored.
//!
//! Batch k is published here while the worker applies batch k + 1.

use std::{borrow::Cow, sync::Arc, time::Duration};

use domain::{amount::Minor, pantry::Shortfall};
use rdkafka::message::OwnedHeaders;
use schemas::{
    EncodeError, Event,
    events::{Demand, Micros, Notify, OrderConfirmed, OrderCreated, StockRejected, StockReserved},
};
use store::alerts::AlertRow;
use stream::{
    Batch, DeadLetters, DeliveryError, KafkaConfig, Names, Producer, ProducerTuning, Registry, RegistryError,
    SendError, Writer, cloud_events, consume::chain, dead_letter::Why, headers,
};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::{metrics::Metrics, packed::Packed, poll::ToPoll, shard::Published, source::Source};

/// A record and what is to be told of it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) record: Packed,
    pub(crate) what: What,
    pub(crate) alerts: Vec<AlertRow>,
}

/// What became of a record.
#[derive(Debug)]
pub(crate) enum What {
    Accepted {
        order: OrderCreated,
        demand: Vec<Demand>,
        at: Micros,
    },
    Rejected {
        order: OrderCreated,
        reason: Cow<'static, str>,
        shortfalls: Vec<Shortfall>,
        at: Micros,
    },
    /// The alerts are all there is to tell.
    Moved,
    DeadLetter {
        reason: Cow<'static, str>,
        detail: String,
    },
}

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
            What::Accepted { order, demand, at } => self.accepted(batch, order, demand, *at, trace).await?,
            What::Rejected {
                order,
                reason,
                shortfalls,
                at,
            } => {
                let event = StockRejected {
                    order_id: order.order_id,
                    merchant_id: order.merchant_id,
                    reason: reason.clone().into_owned(),
                    shortfalls: shortfalls.clone(),
                    rejected_at: *at,
                };
                let id = format!("{}-rejected", order.order_id);
                self.send(batch, &self.rejected, &event, &id, *at, trace).await?;
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

    async fn accepted(
        &self,
        batch: &Arc<Batch>,
        order: &OrderCreated,
        demand: &[Demand],
        at: Micros,
        trace: Option<&str>,
    ) -> Result<(), PublishError> {
        let reserved = StockReserved {
            order_id: order.order_id,
            merchant_id: order.merchant_id,
            demand: demand.to_vec(),
            amount_due_minor: Minor::ZERO,
            currency: order.currency,
            deadline: None,
            reserved_at: at,
        };
        let id = format!("{}-reserved", order.order_id);
        self.send(batch, &self.reserved, &reserved, &id, at, trace).await?;
        let confirmed = OrderConfirmed {
            order_id: order.order_id,
            merchant_id: order.merchant_id,
            customer_id: order.customer_id,
            customer_email: order.customer_email.clone(),
            total_minor: order.total_minor,
            currency: order.currency,
            confirmed_at: at,
        };
        let id = format!("{}-confirmed", order.order_id);
        self.send(batch, &self.confirmed, &confirmed, &id, at, trace).await
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
        let headers: OwnedHeaders = cloud_events(E::TOPIC, id, at, trace);
        self.retry_full(|| {
            self.producer
                .send_in(batch, &channel.topic, key.as_bytes(), &value, headers.clone())
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

fn notify(alert: &AlertRow) -> Notify {
    Notify {
        alert_id: alert.id,
        merchant_id: alert.merchant,
        merchant_name: alert.labels.merchant_name.clone(),
        ingredient_id: alert.ingredient,
        ingredient_name: alert.labels.ingredient_name.clone(),
        unit: alert.labels.unit.clone(),
        level_before: alert.level_before,
        level_after: alert.level_after,
        full_level: alert.full_level,
        threshold_pct: i32::from(alert.threshold_pct),
        recipients: alert.labels.recipients.clone(),
        raised_at: alert.raised_at,
    }
}
