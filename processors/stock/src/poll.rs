//! The polling thread: fetches, hands to workers, answers rebalances, commits offsets as a hint to others.
//!
//! librdkafka must be polled whatever the workers do: a consumer that is not polled leaves its group. So nothing
//! here waits longer than a few seconds, and a worker that does not keep up has its partitions paused.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::KafkaError,
};
use service::Health;
use store::{Database, shards};
use stream::{Names, consume::chain};
use tracing::{error, info, warn};

use crate::{
    assignment::{self, Prepared, Stop},
    consumer::{Rebalance, StockConsumer, is_of_another_log},
    inbox::Inbox,
    metrics::Metrics,
    packed::{Chunk, Packed},
    source::Source,
};

/// How long one poll waits for a first record.
const POLL: Duration = Duration::from_millis(100);
/// The most records fetched before the workers get them.
const BURST: usize = 512;
/// How long the thread waits for a worker to make room, before it pauses that worker's partitions.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often and how long the queue is looked at after the group was left.
const LAST_POLLS: usize = 20;
const LAST_POLL: Duration = Duration::from_millis(5);
/// How long a release may take; after that the shard rows fence whoever is late.
const RELEASE: Duration = Duration::from_secs(8);
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// How often it is looked whether an operator has decided about a stopped shard.
const LOOK_AT_STOPPED: Duration = Duration::from_secs(5);
/// How long Postgres may take to answer before the group is joined.
const PING: Duration = Duration::from_secs(3);
/// How long to stay away before joining again.
const REJOIN: Duration = Duration::from_secs(1);

/// The name of this component in `/readyz`.
pub(crate) const HEALTH: &str = "stock";

/// What others tell the polling thread.
pub(crate) enum ToPoll {
    /// The outcomes below this offset are published.
    Commit(Source, i32, i64),
    /// This shard is not consumed any more; the version of its row, and why.
    Stopped(i32, i64, Stop),
    /// What is assigned must be fetched again from where Postgres says.
    Rejoin,
}

/// Where each partition is, for the watchdog: what is applied and published of those that should move.
pub(crate) type Positions = Arc<Mutex<HashMap<(Source, i32), i64>>>;

/// Whether a member that lets its shards go stays in the group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stay {
    In,
    Out,
}

pub(crate) struct Poller {
    pub(crate) consumer: Arc<StockConsumer>,
    pub(crate) names: Names,
    pub(crate) database: Database,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    pub(crate) told: Receiver<ToPoll>,
    pub(crate) positions: Positions,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Health,
    pub(crate) shutdown: service::Shutdown,
    /// Whoever started the thread is gone.
    pub(crate) orphaned: Arc<AtomicBool>,
}

/// What the loop remembers.
struct Memory {
    topics: [String; 2],
    chunk: Chunk,
    to_commit: HashMap<(Source, i32), i64>,
    stopped: BTreeMap<i32, (i64, Stop)>,
    /// Workers whose partitions are paused because they do not keep up.
    paused: Vec<usize>,
    assigned: bool,
    rejoin_at: Option<Instant>,
    committed_at: Instant,
    looked_at: Instant,
}

impl Memory {
    fn source(&self, topic: &str) -> Option<Source> {
        Source::ALL
            .into_iter()
            .find(|source| self.topics[*source as usize] == topic)
    }
}

impl Poller {
    /// Polls until the process stops, then lets every shard go.
    pub(crate) fn run(self) -> Result<(), KafkaError> {
        let now = Instant::now();
        let mut memory = Memory {
            topics: Source::ALL.map(|source| self.names.topic(source.topic())),
            chunk: Chunk::default(),
            to_commit: HashMap::new(),
            stopped: BTreeMap::new(),
            paused: Vec::new(),
            assigned: false,
            rejoin_at: Some(now),
            committed_at: now,
            looked_at: now,
        };
        while !self.shutdown.is_requested() && !self.orphaned.load(Ordering::Acquire) {
            if memory.rejoin_at.is_some_and(|at| at <= Instant::now()) {
                self.join(&mut memory)?;
            }
            self.fetch(&mut memory);
            self.answer_rebalances(&mut memory);
            self.listen(&mut memory);
            self.relieve(&mut memory);
            if memory.committed_at.elapsed() >= COMMIT_EVERY {
                memory.committed_at = Instant::now();
                self.commit(&mut memory, CommitMode::Async);
            }
            if memory.looked_at.elapsed() >= LOOK_AT_STOPPED {
                memory.looked_at = Instant::now();
                self.look_at_stopped(&mut memory);
            }
        }
        self.health.not_ready(HEALTH, "stopping");
        self.release(&mut memory, Stay::Out);
        // What leaving has put into the queue was answered just now. Answered again while the consumer is closed, it
        // would wait for a group that is gone.
        for _ in 0..LAST_POLLS {
            drop(self.consumer.poll(LAST_POLL));
        }
        self.consumer.context().closing.store(true, Ordering::Release);
        Ok(())
    }

    /// Joins the group, once Postgres answers: a member that cannot take its shards over keeps them from the others
    /// and makes these let go of theirs each time it tries.
    fn join(&self, memory: &mut Memory) -> Result<(), KafkaError> {
        let asked = self
            .runtime
            .block_on(async { tokio::time::timeout(PING, shards::read(&self.database, &[])).await });
        if !matches!(asked, Ok(Ok(_))) {
            warn!("postgres does not answer: staying out of the group until it does");
            self.health.not_ready(HEALTH, "postgres does not answer");
            memory.rejoin_at = Some(Instant::now() + REJOIN);
            return Ok(());
        }
        memory.rejoin_at = None;
        let topics: Vec<&str> = memory.topics.iter().map(String::as_str).collect();
        self.consumer.subscribe(&topics)
    }

    /// Fetches what is there, at most a burst, and hands it to the workers.
    fn fetch(&self, memory: &mut Memory) {
        let mut batches: Vec<Vec<Packed>> = self.inboxes.iter().map(|_| Vec::new()).collect();
        let mut patience = POLL;
        let mut is_other_log = false;
        for _ in 0..BURST {
            match self.consumer.poll(patience) {
                Some(Ok(message)) => {
                    let Some(source) = memory.source(message.topic()) else {
                        continue;
                    };
                    let record = Packed::copy(source, &message, &mut memory.chunk);
                    batches[self.worker_of(record.partition)].push(record);
                }
                Some(Err(error)) => {
                    warn!(%error, "kafka reported an error");
                    is_other_log |= error.rdkafka_error_code().is_some_and(is_of_another_log);
                }
                None => break,
            }
            patience = Duration::ZERO;
        }
        for (batch, inbox) in batches.iter_mut().zip(&self.inboxes) {
            inbox.push(batch);
        }
        if is_other_log && memory.assigned {
            warn!("a log is not where it was: looking at every shard again");
            self.give_up(memory);
        }
    }

    fn worker_of(&self, shard: i32) -> usize {
        usize::try_from(shard).unwrap_or_default() % self.inboxes.len()
    }

    fn answer_rebalances(&self, memory: &mut Memory) {
        let events = std::mem::take(
            &mut *self
                .consumer
                .context()
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for event in events {
            match event {
                Rebalance::Assigned(partitions) => self.assigned(memory, &partitions),
                Rebalance::Revoked => self.release(memory, Stay::In),
            }
        }
    }

    /// Takes the shards over and begins to fetch each from where its row says.
    fn assigned(&self, memory: &mut Memory, partitions: &TopicPartitionList) {
        self.metrics.rebalances.inc();
        let shards = assignment::by_shard(&self.names, partitions);
        let prepared = match assignment::prepare(&self.consumer, &self.names, &self.database, &self.runtime, &shards) {
            Ok(prepared) => prepared,
            Err(error) => {
                error!(error = %chain(&error), "cannot take shards over now: leaving the group for a moment");
                self.health.not_ready(HEALTH, chain(&error));
                self.give_up(memory);
                return;
            }
        };
        let Prepared { starts, stops } = prepared;
        let mut offsets = TopicPartitionList::new();
        for start in &starts {
            for source in Source::ALL {
                let from = Offset::Offset(start.from[source as usize]);
                // Fails for an offset that is no offset only.
                let _ = offsets.add_partition_offset(&memory.topics[source as usize], start.row.shard, from);
                if start.row.accept_rewind {
                    memory
                        .to_commit
                        .insert((source, start.row.shard), source.progress(&start.row).published);
                }
            }
        }
        // The workers own the shards before the first record is fetched.
        self.metrics.shards.set(i64::try_from(starts.len()).unwrap_or(i64::MAX));
        let owned: Vec<i32> = starts.iter().map(|start| start.row.shard).collect();
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        for start in &starts {
            for source in Source::ALL {
                positions.insert((source, start.row.shard), source.progress(&start.row).published);
            }
        }
        drop(positions);
        for start in starts {
            self.inboxes[self.worker_of(start.row.shard)].take_shard(start);
        }
        if let Err(error) = self.consumer.assign(&offsets) {
            error!(%error, "kafka's client refuses the assignment: leaving the group for a moment");
            self.give_up(memory);
            return;
        }
        info!(shards = ?owned, "consuming");
        memory.assigned = true;
        self.health.ready(HEALTH);
        for (shard, version, stop) in stops {
            self.stop(memory, shard, version, stop);
        }
    }

    fn stop(&self, memory: &mut Memory, shard: i32, version: i64, stop: Stop) {
        error!(shard, reason = stop.reason(), why = %stop, "the shard is stopped");
        self.metrics.stopped.with_label_values(&[stop.reason()]).inc();
        self.pause(memory, &[shard], true);
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        positions.retain(|(_, number), _| *number != shard);
        memory.stopped.insert(shard, (version, stop));
    }

    /// Lets every shard go and answers Kafka that it may have them; leaves the group where that is asked for.
    fn release(&self, memory: &mut Memory, stay: Stay) {
        memory.assigned = false;
        let waiting: Vec<_> = self.inboxes.iter().map(|inbox| inbox.release()).collect();
        let released = self.runtime.block_on(async {
            tokio::time::timeout(RELEASE, async {
                for released in waiting {
                    // A worker that is gone holds nothing.
                    let _ = released.await;
                }
            })
            .await
        });
        if released.is_err() {
            warn!("a worker did not let its shards go in time: whoever takes them over fences it");
        }
        self.listen(memory);
        self.commit(memory, CommitMode::Sync);
        // librdkafka keeps a partition paused beyond its assignment: it would stand still in the next one.
        if let Ok(assigned) = self.consumer.assignment()
            && let Err(error) = self.consumer.resume(&assigned)
        {
            warn!(%error, "cannot let paused partitions go on");
        }
        if stay == Stay::Out {
            // An assignment that was offered must be answered by an assignment, or librdkafka waits for that and never
            // leaves. And it must know that it leaves before it is given the assignment back, or it joins again at once.
            if let Err(error) = self.consumer.assign(&TopicPartitionList::new()) {
                warn!(%error, "cannot answer the assignment");
            }
            self.consumer.unsubscribe();
        }
        if let Err(error) = self.consumer.unassign() {
            warn!(%error, "cannot give the assignment back");
        }
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).clear();
        memory.to_commit.clear();
        memory.stopped.clear();
        memory.paused.clear();
        self.metrics.stopped.reset();
        for reason in Stop::REASONS {
            self.metrics.stopped.with_label_values(&[reason]);
        }
        self.metrics.shards.set(0);
    }

    /// Leaves the group and joins it again in a moment: every shard starts anew from its row.
    fn give_up(&self, memory: &mut Memory) {
        self.release(memory, Stay::Out);
        // What the group says of the old membership is of no use any more.
        self.consumer
            .context()
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        memory.rejoin_at = Some(Instant::now() + REJOIN);
    }

    /// Does what others ask.
    fn listen(&self, memory: &mut Memory) {
        let mut rejoin = false;
        while let Ok(message) = self.told.try_recv() {
            match message {
                ToPoll::Commit(source, shard, next) => {
                    let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(position) = positions.get_mut(&(source, shard)) {
                        *position = next;
                    }
                    drop(positions);
                    memory.to_commit.insert((source, shard), next);
                }
                ToPoll::Stopped(shard, version, stop) => self.stop(memory, shard, version, stop),
                ToPoll::Rejoin => rejoin = true,
            }
        }
        if rejoin && memory.assigned && memory.rejoin_at.is_none() {
            self.give_up(memory);
        }
    }

    /// Waits for a worker that does not keep up, then pauses its partitions; lets them go on when there is room.
    fn relieve(&self, memory: &mut Memory) {
        for (worker, inbox) in self.inboxes.iter().enumerate() {
            let is_paused = memory.paused.contains(&worker);
            if is_paused && inbox.is_roomy() {
                memory.paused.retain(|paused| *paused != worker);
                self.pause(memory, &self.shards_of(memory, worker), false);
            } else if !is_paused && !inbox.wait_for_room(PATIENCE) {
                self.pause(memory, &self.shards_of(memory, worker), true);
                memory.paused.push(worker);
            }
        }
    }

    /// The shards of a worker that are consumed.
    fn shards_of(&self, memory: &Memory, worker: usize) -> Vec<i32> {
        let assigned = self
            .consumer
            .assignment()
            .map(|list| assignment::by_shard(&self.names, &list));
        let shards = assigned.unwrap_or_default().into_keys();
        shards
            .filter(|shard| self.worker_of(*shard) == worker && !memory.stopped.contains_key(shard))
            .collect()
    }

    fn pause(&self, memory: &Memory, shards: &[i32], pause: bool) {
        let Ok(assigned) = self.consumer.assignment() else {
            return;
        };
        let mut partitions = TopicPartitionList::new();
        for element in assigned.elements() {
            if shards.contains(&element.partition()) && memory.topics.iter().any(|topic| topic == element.topic()) {
                partitions.add_partition(element.topic(), element.partition());
            }
        }
        let result = if pause {
            self.consumer.pause(&partitions)
        } else {
            self.consumer.resume(&partitions)
        };
        if let Err(error) = result {
            warn!(%error, pause, "cannot pause or resume");
        }
    }

    fn commit(&self, memory: &mut Memory, mode: CommitMode) {
        if memory.to_commit.is_empty() {
            return;
        }
        let mut offsets = TopicPartitionList::new();
        for ((source, shard), next) in memory.to_commit.drain() {
            let _ = offsets.add_partition_offset(&memory.topics[source as usize], shard, Offset::Offset(next));
        }
        if let Err(error) = self.consumer.commit(&offsets, mode) {
            warn!(%error, "cannot commit offsets: lag will look larger than it is");
        }
    }

    /// Joins again when an operator has rewritten the row of a stopped shard, or when a lost one may be free.
    fn look_at_stopped(&self, memory: &mut Memory) {
        if memory.stopped.is_empty() {
            return;
        }
        let numbers: Vec<i32> = memory.stopped.keys().copied().collect();
        let rows = self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(2), shards::read(&self.database, &numbers)).await
        });
        let Ok(Ok(rows)) = rows else { return };
        let decided = rows.iter().any(|row| {
            memory
                .stopped
                .get(&row.shard)
                .is_some_and(|(version, stop)| match stop {
                    // Kafka heals that by another assignment, nobody else.
                    Stop::Split => false,
                    Stop::Lost => true,
                    _ => row.version != *version,
                })
        });
        if decided {
            info!("a stopped shard may go on: joining the group again");
            self.give_up(memory);
        }
    }
}
