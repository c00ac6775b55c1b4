//! Putting an event on its topic, and knowing that it is there.

use std::time::Duration;

use rdkafka::{error::KafkaError, message::OwnedHeaders, types::RDKafkaErrorCode};
use schemas::events::{Event, Micros, OrderCreated, StockAdjusted};
use stream::{
    Delivery, DeliveryError, KafkaConfig, Producer, ProducerTuning, Registry, RegistryError, SendError, Writer,
    cloud_events,
};
use tokio::{sync::Notify, time::timeout};

use crate::{
    config::{Config, Limits},
    problem::{Code, Problem},
};

/// The most memory that records take while they wait to be acknowledged.
const QUEUE_KBYTES: u32 = 64 * 1024;

/// What takes the records. Kafka does; whoever measures what the rest costs brings one that does nothing.
pub trait Outlet: Send + Sync {
    /// Takes one record, without blocking.
    fn send(&self, topic: &str, key: &str, value: &[u8], headers: OwnedHeaders) -> Result<Delivery, SendError>;

    /// How many records wait to be acknowledged.
    fn in_flight(&self) -> i32;

    /// How many partitions a topic has; none where it is not there. Blocks up to `timeout`.
    fn partitions(&self, topic: &str, timeout: Duration) -> Result<usize, KafkaError>;
}

/// From so many records in flight on, the next wait a moment for company.
const BUSY_FROM: i32 = 64;

/// Two producers, because how long a record waits for others to share its request is set per producer. While little is
/// under way each record goes at once; when much is, a request for each would cost Kafka and us more than the wait.
/// Records of one merchant that are sent side by side have no order; what follows an answer follows in the log as well.
struct Kafka {
    prompt: Producer,
    busy: Producer,
}

impl Outlet for Kafka {
    fn send(&self, topic: &str, key: &str, value: &[u8], headers: OwnedHeaders) -> Result<Delivery, SendError> {
        let producer = if self.in_flight() < BUSY_FROM {
            &self.prompt
        } else {
            &self.busy
        };
        producer.send(topic, key, value, headers)
    }

    fn in_flight(&self) -> i32 {
        self.prompt.in_flight() + self.busy.in_flight()
    }

    fn partitions(&self, topic: &str, timeout: Duration) -> Result<usize, KafkaError> {
        self.prompt.partitions(topic, timeout)
    }
}

/// The way to Kafka, with what this service needs of it.
pub(crate) fn kafka(config: &Config) -> Result<Box<dyn Outlet>, KafkaError> {
    let (mut kafka, limits) = (config.kafka.clone(), &config.limits);
    // A broker that is back is found within a second; the client's own default is ten.
    kafka
        .properties
        .entry("reconnect.backoff.max.ms".to_owned())
        .or_insert_with(|| "1000".to_owned());
    let prompt = ProducerTuning {
        linger: Duration::ZERO,
        message_timeout: limits.message_timeout,
        queue_records: limits.queue_records,
        queue_kbytes: QUEUE_KBYTES,
    };
    let busy = ProducerTuning {
        linger: limits.busy_linger,
        ..prompt
    };
    Ok(Box::new(Kafka {
        prompt: Producer::new(&kafka, &prompt)?,
        busy: Producer::new(&kafka, &busy)?,
    }))
}

/// What is the same for every record of one topic.
pub(crate) struct Lane<E> {
    writer: Writer<E>,
    topic: String,
}

impl<E: Event> Lane<E> {
    async fn new(registry: &Registry, kafka: &KafkaConfig) -> Result<Self, RegistryError> {
        Ok(Self {
            writer: registry.writer().await?,
            topic: kafka.names.topic(E::TOPIC),
        })
    }
}

/// Where events go.
pub(crate) struct Events {
    outlet: Box<dyn Outlet>,
    answer_within: Duration,
    pub(crate) orders: Lane<OrderCreated>,
    pub(crate) adjustments: Lane<StockAdjusted>,
    /// Told when the producer can never send again.
    pub(crate) dead: Notify,
}

impl Events {
    pub(crate) async fn new(
        outlet: Box<dyn Outlet>,
        kafka: &KafkaConfig,
        registry: &Registry,
        limits: &Limits,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            outlet,
            answer_within: limits.answer_within,
            orders: Lane::new(registry, kafka).await?,
            adjustments: Lane::new(registry, kafka).await?,
            dead: Notify::new(),
        })
    }

    /// Returns when every in-sync replica holds the event, or fails when that takes too long.
    pub(crate) async fn publish<E: Event>(
        &self,
        lane: &Lane<E>,
        event: &E,
        (id, time): (impl std::fmt::Display, Micros),
        traceparent: &str,
    ) -> Result<(), Problem> {
        let value = lane.writer.encode(event).map_err(|error| Problem::internal(&error))?;
        let headers = cloud_events(E::TOPIC, id, time, Some(traceparent));
        let key = event.merchant().to_string();
        let delivery = match self.outlet.send(&lane.topic, &key, &value, headers) {
            Ok(delivery) => delivery,
            Err(error @ SendError::QueueFull) => {
                tracing::warn!(%error, "nothing is accepted");
                return Err(Problem::new(
                    Code::NotAccepted,
                    "kafka takes nothing now: try again in a moment",
                ));
            }
            Err(SendError::Kafka(error)) => {
                self.die_if_fatal(error.rdkafka_error_code());
                return Err(Problem::internal(&error));
            }
        };
        match timeout(self.answer_within, delivery.acknowledged()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(DeliveryError(code))) => {
                self.die_if_fatal(Some(code));
                tracing::warn!(%code, "kafka did not acknowledge");
                Err(not_acknowledged())
            }
            Err(_) => Err(not_acknowledged()),
        }
    }

    /// How many records wait to be acknowledged.
    pub(crate) fn waiting(&self) -> i32 {
        self.outlet.in_flight()
    }

    /// Asks Kafka whether both topics are there, and says what is not as it should be. Blocks up to two timeouts.
    pub(crate) fn check(&self, timeout: Duration) -> Result<(), String> {
        for topic in [&self.orders.topic, &self.adjustments.topic] {
            match self.outlet.partitions(topic, timeout) {
                Ok(0) => return Err(format!("topic {topic} is not there: run `larder topics apply`")),
                Ok(_) => {}
                Err(error) => return Err(format!("kafka does not answer: {error}")),
            }
        }
        Ok(())
    }

    fn die_if_fatal(&self, code: Option<RDKafkaErrorCode>) {
        if code == Some(RDKafkaErrorCode::Fatal) {
            self.dead.notify_one();
        }
    }
}

/// The client gave the record up; only if the acknowledgement itself was lost is it there all the same.
fn not_acknowledged() -> Problem {
    Problem::new(
        Code::NotAcknowledged,
        "kafka did not confirm it in time and it was given up: send it again, with the same Idempotency-Key if it \
         must not count twice should only the confirmation be lost",
    )
}
