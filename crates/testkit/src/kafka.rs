//! Records onto a topic and off it, as a test wants them: all of them, or so many.

use std::time::{Duration, Instant};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use schemas::Event;
use stream::Record;

use crate::Env;

const PATIENCE: Duration = Duration::from_secs(30);

/// A record to be produced as it is, right or wrong.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// The partition; where none is given the key decides, as for every producer of ours.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Env {
    /// Puts a record on a topic, whatever it holds, and says where it stands.
    pub async fn produce(&self, topic: &str, raw: Raw) -> (i32, i64) {
        let producer: FutureProducer = self.kafka.client().set("partitioner", "murmur2").create().unwrap();
        let headers = raw.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        });
        let mut record: FutureRecord<'_, Vec<u8>, Vec<u8>> = FutureRecord::to(topic).headers(headers);
        record.partition = raw.partition;
        record.key = raw.key.as_ref();
        record.payload = raw.value.as_ref();
        let delivery = producer
            .send(record, PATIENCE)
            .await
            .map_err(|(error, _)| error)
            .unwrap();
        (delivery.partition, delivery.offset)
    }

    /// Puts an event on its topic as the service that writes it would, with the id given, and says where it stands.
    pub async fn publish<E: Event>(&self, event: &E, id: &str) -> (i32, i64) {
        let value = self.schemas().writer::<E>().await.unwrap().encode(event).unwrap();
        let raw = Raw {
            partition: None,
            key: Some(event.merchant().to_string().into_bytes()),
            value: Some(value),
            headers: vec![("ce_id".to_owned(), id.as_bytes().to_vec())],
        };
        self.produce(&self.names().topic(E::TOPIC), raw).await
    }

    /// Puts many events on their topic at once, in their order, each with its id.
    pub async fn publish_all<E: Event>(&self, events: &[(E, String)]) {
        let writer = self.schemas().writer::<E>().await.unwrap();
        let producer: FutureProducer = self.kafka.client().set("partitioner", "murmur2").create().unwrap();
        let topic = self.names().topic(E::TOPIC);
        let mut deliveries = Vec::with_capacity(events.len());
        for (event, id) in events {
            let (key, value) = (event.merchant().to_string(), writer.encode(event).unwrap());
            let headers = OwnedHeaders::new().insert(Header {
                key: "ce_id",
                value: Some(id),
            });
            let record = FutureRecord::to(&topic).headers(headers).key(&key).payload(&value);
            deliveries.push(producer.send_result(record).map_err(|(error, _)| error).unwrap());
        }
        for delivery in deliveries {
            delivery.await.unwrap().map_err(|(error, _)| error).unwrap();
        }
    }

    /// How many records each partition of a topic has had.
    pub async fn ends(&self, topic: &str) -> Vec<i64> {
        let (client, topic) = (self.kafka.client(), topic.to_owned());
        blocking(move || {
            let consumer: BaseConsumer = client.create().unwrap();
            ends(&consumer, &topic)
        })
        .await
    }

    /// Everything on a topic now, partition by partition in the log's order.
    pub async fn records(&self, topic: &str) -> Vec<Record> {
        let (client, topic) = (self.kafka.client(), topic.to_owned());
        blocking(move || read(&client.clone().set("group.id", "testkit").create().unwrap(), &topic)).await
    }

    /// Waits until a topic has at least so many records and returns everything on it.
    pub async fn wait_for_records(&self, topic: &str, count: usize, deadline: Duration) -> Vec<Record> {
        let end = Instant::now() + deadline;
        loop {
            let there = self.ends(topic).await.iter().sum::<i64>();
            if usize::try_from(there).unwrap() >= count {
                return self.records(topic).await;
            }
            assert!(
                Instant::now() < end,
                "waited {deadline:?} in vain for {count} records on {topic}: {there} there"
            );
        }
    }

    /// Everything on an event's topic now, decoded.
    pub async fn events<E: Event>(&self) -> Vec<(Record, E)> {
        let records = self.records(&self.names().topic(E::TOPIC)).await;
        self.decoded(records).await
    }

    /// Waits until an event's topic has at least so many and returns all of them, decoded.
    pub async fn wait_for_events<E: Event>(&self, count: usize, deadline: Duration) -> Vec<(Record, E)> {
        let records = self
            .wait_for_records(&self.names().topic(E::TOPIC), count, deadline)
            .await;
        self.decoded(records).await
    }

    async fn decoded<E: Event>(&self, records: Vec<Record>) -> Vec<(Record, E)> {
        let reader = self.schemas().reader::<E>().await.unwrap();
        let mut events = Vec::with_capacity(records.len());
        for record in records {
            let event = reader.decode(record.value.as_deref()).await.unwrap();
            events.push((record, event));
        }
        events
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn ends(consumer: &BaseConsumer, topic: &str) -> Vec<i64> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let partitions = metadata.topics()[0]
        .partitions()
        .iter()
        .map(rdkafka::metadata::MetadataPartition::id);
    let watermarks = partitions.map(|partition| consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap());
    watermarks.map(|(_, high)| high).collect()
}

fn read(consumer: &BaseConsumer, topic: &str) -> Vec<Record> {
    let ends = ends(consumer, topic);
    let mut assignment = TopicPartitionList::new();
    for (partition, _) in (0..).zip(&ends) {
        assignment
            .add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let wanted = usize::try_from(ends.iter().sum::<i64>()).unwrap();
    let mut records = Vec::with_capacity(wanted);
    let deadline = Instant::now() + PATIENCE;
    while records.len() < wanted {
        assert!(
            Instant::now() < deadline,
            "read {} of {wanted} records of {topic}, then none came",
            records.len()
        );
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let record = Record::copy(&message.unwrap());
            let end = usize::try_from(record.partition).unwrap();
            if record.offset < ends[end] {
                records.push(record);
            }
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}
