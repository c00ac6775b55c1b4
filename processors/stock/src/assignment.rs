//! Taking shards over: where to start, and when to stop rather than guess.

use std::{collections::BTreeMap, fmt, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use store::{
    Database, StoreError,
    shards::{self, ShardRow},
};
use stream::Names;
use uuid::Uuid;

use crate::source::Source;

/// How long the broker may take to answer.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

/// A shard, ready to be consumed.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// Its row, owned by us.
    pub(crate) row: ShardRow,
    /// Per source: the first offset to fetch.
    pub(crate) from: [i64; 2],
    /// Per source: whether the record at `next - 1` will come and must carry the fingerprint.
    pub(crate) verify: [bool; 2],
}

/// Why a shard is not consumed. The others go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Kafka gave us some of its topics only.
    Split,
    /// Records that were never applied are gone.
    Gap { topic: String, next: i64, first: i64 },
    /// The log ends before what was applied.
    Truncated { topic: String, next: i64, end: i64 },
    /// The last applied record is another one now.
    Fingerprint { topic: String, next: i64 },
    /// The group has committed more than this database has applied.
    Rewound { topic: String, next: i64, committed: i64 },
    /// An outcome that was applied is not in the database.
    OutcomeMissing { topic: String, offset: i64 },
    /// Somebody else has taken it over.
    Lost,
}

impl Stop {
    /// The word for it in metrics.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Gap { .. } => "gap",
            Self::Truncated { .. } => "truncated",
            Self::Fingerprint { .. } => "fingerprint",
            Self::Rewound { .. } => "rewound",
            Self::OutcomeMissing { .. } => "outcome_missing",
            Self::Lost => "lost",
        }
    }

    pub(crate) const REASONS: [&'static str; 7] = [
        "split",
        "gap",
        "truncated",
        "fingerprint",
        "rewound",
        "outcome_missing",
        "lost",
    ];
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Split => f.write_str(
                "its topics are not all assigned here: every topic must have as many partitions, and every member of the group the same topics",
            ),
            Self::Gap { topic, next, first } => write!(
                f,
                "{topic} begins at {first}, {next} was to be applied next: retention ate unread records; to go on without them: `larder stock resume --accept-gap`"
            ),
            Self::Truncated { topic, next, end } => write!(
                f,
                "{topic} ends at {end}, {next} was to be applied next: the topic was made anew or truncated; to read it from its beginning: `larder stock resume --accept-fingerprint`"
            ),
            Self::Fingerprint { topic, next } => write!(
                f,
                "the record before {next} of {topic} is not the one that was applied: the topic was made anew; to read it from its beginning: `larder stock resume --accept-fingerprint`"
            ),
            Self::Rewound { topic, next, committed } => write!(
                f,
                "the group has committed {committed} of {topic}, this database has applied up to {next}: it was restored to an older state; to apply the records since then again: `larder stock resume --accept-rewind`"
            ),
            Self::OutcomeMissing { topic, offset } => write!(
                f,
                "record {offset} of {topic} was applied but its outcome is not in the database: restore the orders table, or skip what is unpublished by `larder stock resume --accept-gap`"
            ),
            Self::Lost => f.write_str("another member of the group has taken it over"),
        }
    }
}

/// What became of an assignment.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) starts: Vec<Start>,
    /// The shards not to consume, with the version at which that was found.
    pub(crate) stops: Vec<(i32, i64, Stop)>,
}

/// The assignment cannot be judged now: try again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("kafka does not answer")]
    Kafka(#[from] KafkaError),
    #[error("postgres does not answer in time")]
    Timeout,
}

/// The partitions of an assignment, by shard.
pub(crate) fn by_shard(names: &Names, assigned: &TopicPartitionList) -> BTreeMap<i32, Vec<Source>> {
    let mut shards: BTreeMap<i32, Vec<Source>> = BTreeMap::new();
    for element in assigned.elements() {
        let source = Source::ALL
            .into_iter()
            .find(|source| names.topic(source.topic()) == element.topic());
        shards.entry(element.partition()).or_default().extend(source);
    }
    shards
}

/// Takes the shards over and finds where each starts. Blocks; called on the polling thread.
pub(crate) fn prepare<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    names: &Names,
    database: &Database,
    runtime: &tokio::runtime::Handle,
    assigned: &BTreeMap<i32, Vec<Source>>,
) -> Result<Prepared, PrepareError> {
    let mut prepared = Prepared::default();
    let mut whole = Vec::new();
    for (shard, sources) in assigned {
        if sources.len() == Source::ALL.len() {
            whole.push(*shard);
        } else {
            prepared.stops.push((*shard, 0, Stop::Split));
        }
    }
    // The offsets of the group are read before the shard is taken over: an earlier owner commits no more than it
    // has applied, and applies no more once the shard is ours.
    let committed = committed(consumer, names, &whole)?;
    let rows = runtime
        .block_on(async {
            tokio::time::timeout(BROKER_TIMEOUT * 2, shards::take_over(database, &whole, Uuid::new_v4())).await
        })
        .map_err(|_| PrepareError::Timeout)??;
    for row in rows {
        match start(consumer, names, &committed, &row)? {
            Ok((from, verify)) => prepared.starts.push(Start { row, from, verify }),
            Err(stop) => prepared.stops.push((row.shard, row.version, stop)),
        }
    }
    Ok(prepared)
}

fn committed<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    names: &Names,
    shards: &[i32],
) -> Result<TopicPartitionList, KafkaError> {
    let mut asked = TopicPartitionList::new();
    for source in Source::ALL {
        for shard in shards {
            asked.add_partition(&names.topic(source.topic()), *shard);
        }
    }
    consumer.committed_offsets(asked, BROKER_TIMEOUT)
}

type Where = ([i64; 2], [bool; 2]);

fn start<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    names: &Names,
    committed: &TopicPartitionList,
    row: &ShardRow,
) -> Result<Result<Where, Stop>, KafkaError> {
    let mut from = [0; 2];
    let mut verify = [false; 2];
    for (at, source) in Source::ALL.into_iter().enumerate() {
        let topic = names.topic(source.topic());
        let (first, end) = consumer.fetch_watermarks(&topic, row.shard, BROKER_TIMEOUT)?;
        let committed = match committed.find_partition(&topic, row.shard).map(|found| found.offset()) {
            Some(Offset::Offset(offset)) => offset,
            _ => 0,
        };
        let progress = source.progress(row);
        let (next, published) = (progress.next, progress.published);
        if first > published {
            return Ok(Err(Stop::Gap { topic, next, first }));
        }
        if end < next {
            return Ok(Err(Stop::Truncated { topic, next, end }));
        }
        if committed > next && !row.accept_rewind {
            return Ok(Err(Stop::Rewound { topic, next, committed }));
        }
        verify[at] = progress.fingerprint.is_some() && next > first;
        from[at] = if verify[at] { published.min(next - 1) } else { published };
    }
    Ok(Ok((from, verify)))
}
