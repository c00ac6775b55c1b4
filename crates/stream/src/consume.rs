//! The loop that sinks run on: at least once, in the log's order per partition.
//!
//! A thread of its own polls, because librdkafka must be polled whatever the handler does: a consumer that is not
//! polled leaves its group. Records wait in a bounded channel; when it is full the partitions are paused. An offset
//! is committed only after the handler is done with the record or the record is put aside.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::KafkaError,
};
use schemas::Topic;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    config::KafkaConfig,
    dead_letter::{DeadLetters, Why},
    record::Record,
};

/// Records that wait for the handler.
const WAITING: usize = 1024;
/// How often offsets are committed.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// How long one poll waits; a stop is seen within it.
const POLL: Duration = Duration::from_millis(100);
/// The longest pause between two tries of one record.
const RETRY_CAP: Duration = Duration::from_secs(10);

/// What became of a record.
#[derive(Debug)]
pub enum Outcome {
    /// It is handled, and would be handled again without harm.
    Done,
    /// Not now: the same record is tried again.
    Retry(Box<dyn std::error::Error + Send + Sync>),
    /// Never: it goes to the dead letters.
    Reject {
        /// A word for programs.
        reason: &'static str,
        /// A sentence for people.
        detail: String,
    },
}

/// Handles the records of a group, one after another.
pub trait Handler: Send + Sync + 'static {
    /// Handles one record. It may be given again after a crash or a rebalance.
    fn handle(&self, record: &Record) -> impl Future<Output = Outcome> + Send;
}

/// The loop cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// The client cannot be made.
    #[error("kafka's client cannot be made: check the configuration")]
    Client(#[from] KafkaError),
    /// The polling thread is gone.
    #[error("the polling thread died: see the log before this")]
    Thread,
}

type Position = Arc<Mutex<HashMap<(String, i32), i64>>>;

/// Consumes one topic until `stop` is cancelled. `running` says whether partitions are assigned.
pub async fn run<H: Handler>(
    kafka: &KafkaConfig,
    group: &'static str,
    topic: &'static Topic,
    handler: &H,
    running: watch::Sender<bool>,
    stop: CancellationToken,
) -> Result<(), ConsumeError> {
    let consumer: BaseConsumer = kafka
        .client()
        .set("group.id", kafka.names.group(group))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    consumer.subscribe(&[&kafka.names.topic(topic)])?;
    let dead_letters = DeadLetters::connect(kafka, group)?;
    let (records, mut arriving) = mpsc::channel(WAITING);
    let positions: Position = Arc::default();

    // The loop ends when the handler's side drops the channel, so that what is handled is committed last.
    let polling = {
        let (positions, stop) = (Arc::clone(&positions), stop.clone());
        thread::Builder::new()
            .name(format!("poll-{group}"))
            .spawn(move || poll(&consumer, &records, &positions, &running, &stop))
            .map_err(|_| ConsumeError::Thread)?
    };
    while let Some(record) = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        record = arriving.recv() => record,
    } {
        if handle(handler, &dead_letters, topic, &record, &stop).await {
            let mut positions = positions.lock().unwrap_or_else(PoisonError::into_inner);
            positions.insert((record.topic, record.partition), record.offset + 1);
        }
    }
    drop(arriving);
    match tokio::task::spawn_blocking(move || polling.join()).await {
        Ok(Ok(())) if stop.is_cancelled() => Ok(()),
        _ => Err(ConsumeError::Thread),
    }
}

/// Tries until the record is handled or put aside; false where the stop came first.
async fn handle<H: Handler>(
    handler: &H,
    dead_letters: &DeadLetters,
    topic: &Topic,
    record: &Record,
    stop: &CancellationToken,
) -> bool {
    let mut pause = Duration::from_millis(100);
    for attempts in 1.. {
        let at = (record.topic.as_str(), record.partition, record.offset);
        match handler.handle(record).await {
            Outcome::Done => return true,
            Outcome::Retry(error) => warn!(?at, attempts, error = %chain(&*error), "will try the record again"),
            Outcome::Reject { reason, detail } => {
                let why = Why {
                    reason,
                    detail: &detail,
                    attempts,
                };
                match dead_letters.put(topic, record, why).await {
                    Ok(()) => {
                        warn!(?at, reason, detail, "put the record aside");
                        return true;
                    }
                    Err(error) => error!(?at, error = %chain(&error), "cannot put the record aside"),
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_CAP),
        }
    }
    unreachable!("attempts do not run out")
}

/// An error with its causes, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn poll(
    consumer: &BaseConsumer,
    records: &mpsc::Sender<Record>,
    positions: &Position,
    running: &watch::Sender<bool>,
    stop: &CancellationToken,
) {
    let mut backlog: VecDeque<Record> = VecDeque::new();
    let mut paused = false;
    let mut committed = Instant::now();
    while !records.is_closed() {
        // While a stop is under way the handler may still be at work: be polled, take nothing.
        match consumer.poll(if paused { Duration::from_millis(5) } else { POLL }) {
            Some(Ok(message)) if !stop.is_cancelled() => backlog.push_back(Record::copy(&message)),
            Some(Err(error)) => warn!(%error, "kafka reported an error"),
            _ => {}
        }
        while let Some(record) = backlog.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(record)) = records.try_send(record) {
                backlog.push_front(record);
                break;
            }
        }
        // Partitions that a rebalance brought meanwhile are not paused yet: pause again whenever something waits.
        if !backlog.is_empty() {
            paused = pause(consumer, true);
        } else if paused {
            paused = !pause(consumer, false);
        }
        let assigned = consumer.assignment().is_ok_and(|list| list.count() > 0);
        running.send_if_modified(|was| std::mem::replace(was, assigned) != assigned);
        if committed.elapsed() >= COMMIT_EVERY {
            commit(consumer, positions, CommitMode::Async);
            committed = Instant::now();
        }
    }
    commit(consumer, positions, CommitMode::Sync);
    running.send_replace(false);
}

/// Pauses or resumes everything assigned; false where that failed.
fn pause(consumer: &BaseConsumer, pause: bool) -> bool {
    let result = consumer.assignment().and_then(|assigned| {
        if pause {
            consumer.pause(&assigned)
        } else {
            consumer.resume(&assigned)
        }
    });
    if let Err(error) = &result {
        warn!(%error, pause, "cannot pause or resume");
    }
    result.is_ok()
}

fn commit(consumer: &BaseConsumer, positions: &Position, mode: CommitMode) {
    let done = std::mem::take(&mut *positions.lock().unwrap_or_else(PoisonError::into_inner));
    if done.is_empty() {
        return;
    }
    let mut offsets = TopicPartitionList::new();
    for ((topic, partition), offset) in done {
        if let Err(error) = offsets.add_partition_offset(&topic, partition, Offset::Offset(offset)) {
            warn!(%error, topic, partition, "cannot name the offset to commit");
        }
    }
    if let Err(error) = consumer.commit(&offsets, mode) {
        warn!(%error, "cannot commit: the records will be seen again");
    }
}
