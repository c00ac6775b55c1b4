//! Topics as they must be on the cluster, compared with what is there and brought in line.
//!
//! Growing a topic is refused here: a merchant's records lie in the partition its key hashes to, and one more
//! partition moves merchants away from the stock rows their shard owns. `docs/operations.md` has the migration.

use std::{collections::BTreeMap, fmt, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
};
use schemas::{TOPICS, topics::dead_letter_topics};
use tokio::time::Instant;

use crate::KafkaConfig;

/// The most bytes of a batch of events; Kafka's own default.
const MAX_EVENT_BYTES: usize = 1_048_588;
/// The most bytes of a dead letter: the largest record there can be, and what is said of it.
pub(crate) const MAX_DEAD_LETTER_BYTES: usize = 2 * MAX_EVENT_BYTES;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// The shape every topic is created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many partitions.
    pub partitions: i32,
    /// On how many brokers each of them lies.
    pub replication: i32,
}

/// Something on the cluster is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// There is no such topic.
    Missing {
        /// The topic.
        topic: String,
        /// How it is to be created.
        shape: Shape,
    },
    /// It has another number of partitions or replicas: not for this program to change.
    Shape {
        /// The topic.
        topic: String,
        /// As it is.
        is: Shape,
        /// As it should be.
        wanted: Shape,
    },
    /// A setting differs.
    Setting {
        /// The topic.
        topic: String,
        /// The setting.
        name: &'static str,
        /// As it is.
        is: String,
        /// As it should be.
        wanted: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { topic, shape } => {
                write!(
                    f,
                    "{topic}: missing, {} partitions on {} brokers",
                    shape.partitions, shape.replication
                )
            }
            Self::Shape { topic, is, wanted } => write!(
                f,
                "{topic}: {} partitions on {} brokers, wanted {} on {}",
                is.partitions, is.replication, wanted.partitions, wanted.replication
            ),
            Self::Setting {
                topic,
                name,
                is,
                wanted,
            } => write!(f, "{topic}: {name}={is}, wanted {wanted}"),
        }
    }
}

/// Topics cannot be compared or changed.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// Kafka does not answer, or refuses.
    #[error("kafka does not say what topics there are: check KAFKA_BOOTSTRAP_SERVERS and the account's rights")]
    Kafka(#[from] KafkaError),
    /// A topic has another shape than asked for.
    #[error(
        "{difference}; nothing was changed: merchants would move between partitions, so stop ingest, drain, grow and go \
         on as docs/operations.md says under \"Growing the topics\", or pass --partitions and --replication as they are"
    )]
    Shape {
        /// What differs.
        difference: Difference,
    },
    /// One topic was refused.
    #[error("kafka refuses topic {topic}: {reason}")]
    Refused {
        /// The topic.
        topic: String,
        /// What Kafka says.
        reason: String,
    },
    /// What was created does not show up.
    #[error("topics were created, but have no leader after {} s: check the brokers", TIMEOUT.as_secs())]
    NotReady,
}

/// A topic as it must be.
struct Wanted {
    topic: String,
    settings: BTreeMap<&'static str, String>,
}

/// What differs between the cluster and the table of topics.
pub async fn plan(kafka: &KafkaConfig, shape: Shape) -> Result<Vec<Difference>, TopicsError> {
    let admin = admin(kafka)?;
    let existing = existing(kafka).await?;
    let mut differences = Vec::new();
    for wanted in wanted(kafka, shape) {
        let Some(is) = existing.get(&wanted.topic) else {
            differences.push(Difference::Missing {
                topic: wanted.topic,
                shape,
            });
            continue;
        };
        if *is != shape {
            differences.push(Difference::Shape {
                topic: wanted.topic.clone(),
                is: *is,
                wanted: shape,
            });
        }
        let settings = settings(&admin, &wanted.topic).await?;
        for (name, value) in wanted.settings {
            let is = settings.get(name).map_or("", |setting| setting.value.as_str());
            if is != value {
                let (topic, is) = (wanted.topic.clone(), is.to_owned());
                differences.push(Difference::Setting {
                    topic,
                    name,
                    is,
                    wanted: value,
                });
            }
        }
    }
    Ok(differences)
}

/// Creates what is missing, changes what differs, and returns what it did. Shapes stay as they are.
pub async fn apply(kafka: &KafkaConfig, shape: Shape) -> Result<Vec<Difference>, TopicsError> {
    let differences = plan(kafka, shape).await?;
    if let Some(difference) = differences
        .iter()
        .find(|difference| matches!(difference, Difference::Shape { .. }))
    {
        return Err(TopicsError::Shape {
            difference: difference.clone(),
        });
    }
    let admin = admin(kafka)?;
    for wanted in wanted(kafka, shape) {
        let mut here = differences
            .iter()
            .filter(|difference| difference.topic() == wanted.topic)
            .peekable();
        match here.peek() {
            None => {}
            Some(Difference::Missing { .. }) => create(&admin, &wanted, shape).await?,
            Some(_) => alter(&admin, &wanted).await?,
        }
    }
    ready(kafka, shape).await?;
    Ok(differences)
}

impl Difference {
    /// Which topic differs.
    #[must_use]
    pub fn topic(&self) -> &str {
        match self {
            Self::Missing { topic, .. } | Self::Shape { topic, .. } | Self::Setting { topic, .. } => topic,
        }
    }
}

fn wanted(kafka: &KafkaConfig, shape: Shape) -> Vec<Wanted> {
    let events = TOPICS
        .into_iter()
        .map(|topic| (kafka.names.topic(topic), 7, MAX_EVENT_BYTES));
    let dead_letters =
        dead_letter_topics().map(|topic| (format!("{}{topic}", kafka.names.prefix), 30, MAX_DEAD_LETTER_BYTES));
    let in_sync = (shape.replication - 1).max(1);
    events
        .chain(dead_letters)
        .map(|(topic, days, max_bytes)| {
            let settings = BTreeMap::from([
                ("cleanup.policy", "delete".to_owned()),
                ("compression.type", "producer".to_owned()),
                ("max.message.bytes", max_bytes.to_string()),
                ("min.insync.replicas", in_sync.to_string()),
                ("retention.ms", (days * DAY_MS).to_string()),
            ]);
            Wanted { topic, settings }
        })
        .collect()
}

fn admin(kafka: &KafkaConfig) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
    kafka.client().create()
}

/// The topics of the cluster with their shapes; those without a leader yet are left out.
async fn existing(kafka: &KafkaConfig) -> Result<BTreeMap<String, Shape>, TopicsError> {
    let kafka = kafka.clone();
    // Asking for metadata blocks its thread.
    let asked = tokio::task::spawn_blocking(move || {
        let admin = admin(&kafka)?;
        let metadata = admin.inner().fetch_metadata(None, TIMEOUT)?;
        let shapes = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none())
            .map(|topic| {
                let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
                let replicas = topic
                    .partitions()
                    .iter()
                    .map(|partition| partition.replicas().len())
                    .min()
                    .unwrap_or(0);
                (
                    topic.name().to_owned(),
                    Shape {
                        partitions,
                        replication: i32::try_from(replicas).unwrap_or(i32::MAX),
                    },
                )
            });
        Ok::<_, KafkaError>(shapes.collect())
    });
    Ok(asked.await.expect("asking for metadata does not panic")?)
}

struct Setting {
    value: String,
    set_on_topic: bool,
}

async fn settings(
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
) -> Result<BTreeMap<String, Setting>, TopicsError> {
    let answers = admin
        .describe_configs(&[ResourceSpecifier::Topic(topic)], &options())
        .await?;
    let mut settings = BTreeMap::new();
    for answer in answers {
        let resource = answer.map_err(|code| refused(topic, code))?;
        for entry in resource.entries {
            let set_on_topic = entry.source == ConfigSource::DynamicTopic;
            settings.insert(
                entry.name,
                Setting {
                    value: entry.value.unwrap_or_default(),
                    set_on_topic,
                },
            );
        }
    }
    Ok(settings)
}

async fn create(admin: &AdminClient<DefaultClientContext>, wanted: &Wanted, shape: Shape) -> Result<(), TopicsError> {
    let new = NewTopic::new(
        &wanted.topic,
        shape.partitions,
        TopicReplication::Fixed(shape.replication),
    );
    let new = wanted
        .settings
        .iter()
        .fold(new, |new, (name, value)| new.set(name, value));
    for answer in admin.create_topics([&new], &options()).await? {
        answer.map_err(|(topic, code)| refused(&topic, code))?;
    }
    Ok(())
}

async fn alter(admin: &AdminClient<DefaultClientContext>, wanted: &Wanted) -> Result<(), TopicsError> {
    // The request replaces all settings of the topic, so those that somebody else made go along unchanged.
    let settings = settings(admin, &wanted.topic).await?;
    let others = settings.iter().filter(|(_, setting)| setting.set_on_topic);
    let change = others.fold(
        AlterConfig::new(ResourceSpecifier::Topic(&wanted.topic)),
        |change, (name, setting)| change.set(name, &setting.value),
    );
    let change = wanted
        .settings
        .iter()
        .fold(change, |change, (name, value)| change.set(name, value));
    for answer in admin.alter_configs([&change], &options()).await? {
        answer.map_err(|(_, code)| refused(&wanted.topic, code))?;
    }
    Ok(())
}

/// Waits until every topic shows up: a creation is acknowledged before all brokers know of it.
async fn ready(kafka: &KafkaConfig, shape: Shape) -> Result<(), TopicsError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let existing = existing(kafka).await?;
        if wanted(kafka, shape)
            .iter()
            .all(|wanted| existing.get(&wanted.topic) == Some(&shape))
        {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(TopicsError::NotReady);
        }
        tokio::time::sleep(POLL).await;
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(TIMEOUT))
        .operation_timeout(Some(TIMEOUT))
}

fn refused(topic: &str, reason: impl fmt::Display) -> TopicsError {
    TopicsError::Refused {
        topic: topic.to_owned(),
        reason: reason.to_string(),
    }
}
