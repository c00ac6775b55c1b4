//! An operator's explicit way on for a shard that stopped rather than guess.

use std::time::Duration;

use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use store::{
    Database, StoreError,
    shards::{self, Progress},
};
use stream::KafkaConfig;

use crate::source::Source;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What the operator accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Records that were never applied are gone: go on with the first that is there.
    Gap,
    /// The topic was made anew: read it from its first record.
    Fingerprint,
    /// This database is older than what the group has committed: apply the records since then again.
    Rewind,
}

/// The shard cannot be resumed.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The database does not answer, or somebody wrote the row at the same time.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker does not answer.
    #[error("kafka does not answer: check KAFKA_BOOTSTRAP_SERVERS")]
    Kafka(#[from] KafkaError),
    /// There is no such shard.
    #[error("there is no shard {0}: `SELECT shard FROM shards` lists them")]
    NoShard(i32),
    /// There is no such topic among those the shard reads.
    #[error("the stock-processor does not read topic {0}")]
    NoTopic(String),
}

/// Rewrites the row of a shard; whoever owns it looks at it again within seconds. Returns what was done, a line each.
pub async fn resume(
    kafka: &KafkaConfig,
    database: &Database,
    shard: i32,
    topic: Option<&str>,
    accept: Accept,
) -> Result<Vec<String>, ResumeError> {
    let sources: Vec<Source> = Source::ALL
        .into_iter()
        .filter(|source| topic.is_none_or(|topic| topic == source.topic().name))
        .collect();
    if sources.is_empty() {
        return Err(ResumeError::NoTopic(topic.unwrap_or_default().to_owned()));
    }
    let found = shards::read(database, &[shard]).await?;
    let mut row = found.into_iter().next().ok_or(ResumeError::NoShard(shard))?;
    let mut done = Vec::new();
    if accept == Accept::Rewind {
        row.accept_rewind = true;
        done.push(format!(
            "shard {shard} applies again what the group has committed beyond this database"
        ));
    } else {
        let (kafka, names) = (kafka.clone(), kafka.names.clone());
        let marks = tokio::task::spawn_blocking(move || watermarks(&kafka, shard))
            .await
            .map_err(|_| KafkaError::Canceled)??;
        // The group may have committed more than is applied from then on.
        row.accept_rewind |= accept == Accept::Fingerprint;
        for source in sources {
            let (first, end) = marks[source as usize];
            let progress = source.progress_mut(&mut row);
            let next = match accept {
                // Nothing below is applied again: only what is gone, or cannot be told, is passed over.
                Accept::Gap => progress.next.max(first).min(end),
                Accept::Fingerprint | Accept::Rewind => first,
            };
            let topic = names.topic(source.topic());
            done.push(format!(
                "shard {shard} reads {topic} from {next}, it was to be {}",
                progress.next
            ));
            *progress = Progress {
                next,
                published: next,
                fingerprint: None,
            };
        }
    }
    shards::overrule(database, &row).await?;
    Ok(done)
}

/// The first and the end offset of the shard's partition of each topic.
fn watermarks(kafka: &KafkaConfig, shard: i32) -> Result<[(i64, i64); 2], KafkaError> {
    let consumer: BaseConsumer = kafka.client().create()?;
    let mut marks = [(0, 0); 2];
    for source in Source::ALL {
        marks[source as usize] = consumer.fetch_watermarks(&kafka.names.topic(source.topic()), shard, TIMEOUT)?;
    }
    Ok(marks)
}
