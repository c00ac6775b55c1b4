//! A worker: some shards, one connection to Postgres, one transaction at a time.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use domain::ids::MerchantId;
use service::Shutdown;
use sqlx::PgConnection;
use store::{
    Database, StoreError,
    shards::{self, ShardRow},
};
use stream::{Names, consume::chain};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::{
    assignment::Stop,
    inbox::{Command, Inbox},
    item::{Item, Readers},
    metrics::Metrics,
    outbox::{Outbox, Writers},
    packed::Packed,
    poll::ToPoll,
    publish::{Mark, Publication},
    replay::{RecallError, recall},
    shard::Shard,
    source::Source,
};

/// After so long without a record, what is published is written down.
const IDLE: Duration = Duration::from_secs(1);
/// How long a release waits for what is being published.
const FLUSH: Duration = Duration::from_secs(4);
/// Pauses between tries while Postgres or the registry are away.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How long Postgres may take to answer; after that the connection is taken for dead.
const ANSWER: Duration = Duration::from_secs(30);
/// The most records kept back while the past of a shard is being recognised.
const MOST_HELD: usize = 100_000;

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) readers: Readers,
    pub(crate) writers: Writers,
    pub(crate) names: Names,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: Shutdown,
    /// The most merchants one worker keeps.
    pub(crate) most_cached: usize,
}

pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) shards: BTreeMap<i32, Shard>,
    connection: Option<PgConnection>,
    publications: mpsc::Sender<Publication>,
    to_poll: Sender<ToPoll>,
}

/// The poller wants something else: what is under way is dropped, it is still in Kafka.
#[derive(Debug)]
pub(crate) struct Abandoned;

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        inbox: Arc<Inbox>,
        publications: mpsc::Sender<Publication>,
        to_poll: Sender<ToPoll>,
    ) -> Self {
        Self {
            shared,
            inbox,
            shards: BTreeMap::new(),
            connection: None,
            publications,
            to_poll,
        }
    }

    /// Works until the process stops and every shard is released.
    pub(crate) async fn run(mut self) {
        loop {
            let work = self.inbox.take(IDLE).await;
            for merchant in work.stale {
                self.forget(merchant);
            }
            for command in work.commands {
                match command {
                    Command::Take(start) => {
                        info!(
                            shard = start.row.shard,
                            version = start.row.version,
                            "took the shard over"
                        );
                        self.shards.insert(start.row.shard, Shard::new(start));
                    }
                    Command::Release(done) => {
                        self.release().await;
                        // The poller may have lost its patience.
                        let _ = done.send(());
                        if self.shared.shutdown.is_requested() {
                            return;
                        }
                    }
                }
            }
            if work.records.is_empty() {
                self.note_published().await;
            } else if let Err(Abandoned) = self.work(work.records).await {
                warn!("dropped a batch that could not be applied yet: it will be fetched again");
                self.say(ToPoll::Rejoin);
            }
        }
    }

    async fn work(&mut self, records: Vec<Packed>) -> Result<(), Abandoned> {
        let mut by_shard: BTreeMap<i32, Vec<Packed>> = BTreeMap::new();
        for record in records {
            by_shard.entry(record.partition).or_default().push(record);
        }
        let mut new = Vec::new();
        for (number, records) in by_shard {
            // A shard that was stopped meanwhile: what is fetched of it waits in Kafka.
            let Some(shard) = self.shards.get_mut(&number) else {
                continue;
            };
            match shard.sort(records, &self.shared.names) {
                // The record that is waited for does not come: where it stays, all is read again later.
                Ok(_) if shard.held() > MOST_HELD => return Err(Abandoned),
                Ok(sorted) => {
                    self.tell_again(number, sorted.again).await?;
                    if self.shards.contains_key(&number) {
                        new.extend(sorted.new);
                    }
                }
                Err(stop) => self.stop(number, stop),
            }
        }
        let items = self.read(new).await?;
        self.apply(items).await
    }

    async fn read(&self, records: Vec<Packed>) -> Result<Vec<Item>, Abandoned> {
        let mut items = Vec::with_capacity(records.len());
        let mut pauses = Pauses::default();
        for record in records {
            let mut next = record;
            loop {
                match self.shared.readers.read(next).await {
                    Ok(item) => break items.push(item),
                    Err((record, error)) => {
                        error!(error = %chain(&error), "cannot tell a record's schema: will ask again");
                        self.pause(&mut pauses).await?;
                        next = record;
                    }
                }
            }
        }
        Ok(items)
    }

    /// Tells what was applied before, perhaps by another process, and may not have been told.
    pub(crate) async fn tell_again(&mut self, number: i32, records: Vec<Packed>) -> Result<(), Abandoned> {
        if records.is_empty() {
            return Ok(());
        }
        let mut pauses = Pauses::default();
        let told = loop {
            let shared = Arc::clone(&self.shared);
            let result = match self.connection().await {
                Ok(connection) => {
                    match tokio::time::timeout(ANSWER, recall(connection, &shared.readers, &shared.names, &records))
                        .await
                    {
                        Ok(result) => result,
                        Err(_) => Err(no_answer().into()),
                    }
                }
                Err(error) => Err(error.into()),
            };
            match result {
                Ok(told) => break told,
                Err(RecallError::Stop(stop)) => {
                    self.stop(number, stop);
                    return Ok(());
                }
                Err(error) => {
                    error!(shard = number, error = %chain(&error), "cannot read stored outcomes: will try again");
                    self.connection = None;
                    self.pause(&mut pauses).await?;
                }
            }
        };
        info!(
            shard = number,
            records = told.len(),
            "telling again what was applied before"
        );
        self.shared.metrics.republished.inc_by(told.len() as u64);
        let mut outbox = Outbox::with_capacity(told.len());
        for one in &told {
            outbox.add(&self.shared.writers, one);
        }
        let then = self.marks(number).collect();
        self.publish(outbox, then).await;
        Ok(())
    }

    /// How far a shard has come when everything applied so far is told.
    pub(crate) fn marks(&self, number: i32) -> impl Iterator<Item = Mark> {
        let shard = self.shards.get(&number).into_iter();
        shard.flat_map(move |shard| {
            Source::ALL.into_iter().map(move |source| Mark {
                published: Arc::clone(&shard.published),
                source,
                shard: number,
                next: source.progress(&shard.row).next,
            })
        })
    }

    pub(crate) async fn publish(&self, told: Outbox, then: Vec<Mark>) {
        if self.publications.send(Publication::Tell { told, then }).await.is_err() {
            error!("the publisher is gone: what was applied will be published by the next owner");
        }
    }

    /// Stops one shard; the others go on.
    pub(crate) fn stop(&mut self, number: i32, stop: Stop) {
        let version = self.shards.remove(&number).map_or(0, |shard| shard.row.version);
        self.say(ToPoll::Stopped(number, version, stop));
    }

    fn forget(&mut self, merchant: Option<MerchantId>) {
        for shard in self.shards.values_mut() {
            match merchant {
                Some(merchant) => shard.forget(merchant),
                None => shard.forget_all(),
            }
        }
    }

    async fn release(&mut self) {
        let (done, flushed) = oneshot::channel();
        if self.publications.send(Publication::Flushed(done)).await.is_ok() {
            // Not published in time: the next owner publishes it again.
            let _ = tokio::time::timeout(FLUSH, flushed).await;
        }
        let rows = self.rows_behind();
        if !rows.is_empty() {
            let noted = match self.connection().await {
                Ok(connection) => tokio::time::timeout(FLUSH, shards::advance(connection, &rows)).await,
                Err(error) => Ok(Err(error)),
            };
            if !matches!(noted, Ok(Ok(()))) {
                // Nobody waits for Postgres here: the next owner tells again what may have been told.
                warn!("cannot note what is published before the shards are let go");
                self.connection = None;
            }
        }
        self.shards.clear();
    }

    /// The rows that do not say yet what is published, as they are to be.
    fn rows_behind(&self) -> Vec<ShardRow> {
        let behind = self.shards.values().filter(|shard| shard.is_behind());
        behind.map(|shard| shard.row_after(std::iter::empty())).collect()
    }

    /// Writes down what is published where the row does not say so yet.
    async fn note_published(&mut self) {
        let rows = self.rows_behind();
        if rows.is_empty() {
            return;
        }
        let result = match self.connection().await {
            Ok(connection) => in_time(shards::advance(connection, &rows)).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => {
                for row in rows {
                    if let Some(shard) = self.shards.get_mut(&row.shard) {
                        shard.written(row);
                    }
                }
            }
            Err(error) => {
                warn!(error = %chain(&error), "cannot note what is published");
                self.connection = None;
                // Whether it was written is not known: the rows tell.
                if self.resolve(&rows).await.is_err() {
                    self.say(ToPoll::Rejoin);
                }
            }
        }
    }

    pub(crate) async fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        if self.connection.is_none() {
            self.connection = Some(in_time(self.shared.database.connection()).await?);
        }
        Ok(self.connection.as_mut().expect("just connected"))
    }

    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
    }

    pub(crate) fn say(&self, message: ToPoll) {
        // The polling thread ends before the workers only when the process stops.
        let _ = self.to_poll.send(message);
    }

    /// Waits before the next try, unless the poller wants something.
    pub(crate) async fn pause(&self, pauses: &mut Pauses) -> Result<(), Abandoned> {
        tokio::time::sleep(pauses.next()).await;
        if self.inbox.has_commands() {
            Err(Abandoned)
        } else {
            Ok(())
        }
    }

    /// How many merchants each shard may keep.
    pub(crate) fn most_cached(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.shared.most_cached / self.shards.len().max(1)).unwrap_or(NonZeroUsize::MIN)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

/// What Postgres says, unless it takes too long: then the line is dead, or as good as that.
pub(crate) async fn in_time<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(ANSWER, asked)
        .await
        .unwrap_or_else(|_| Err(no_answer()))
}

fn no_answer() -> StoreError {
    StoreError::Unavailable(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
}

/// Ever longer pauses.
pub(crate) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(PAUSES.0)
    }
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(PAUSES.1);
        pause
    }
}
