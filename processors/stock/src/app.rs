//! Putting the stock-processor together and running it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use rdkafka::{consumer::Consumer as _, error::KafkaError};
use service::Context;
use store::{
    Database, StoreError,
    catalogue::{Change, Changes},
    migrate,
};
use stream::{Registry, RegistryError};
use tracing::warn;

use crate::{
    config::Config,
    consumer::{StockConsumer, consumer},
    inbox::Inbox,
    item::Readers,
    metrics::Metrics,
    outbox::Writers,
    poll::{HEALTH, Poller, Positions, ToPoll},
    publish::Publisher,
    source::Source,
    watchdog,
    worker::{Shared, Worker},
};

/// How long Kafka may take to answer at the start.
const KAFKA_TIMEOUT: Duration = Duration::from_secs(10);
/// Batches that wait for the publisher while the next is applied.
const PUBLICATIONS: usize = 1;

/// The stock-processor cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Postgres is away or not migrated.
    #[error("the stock-processor needs its tables")]
    Database(#[from] StoreError),
    /// The schemas are not registered, or the registry is away.
    #[error("the stock-processor needs the ids of its schemas")]
    Registry(#[from] RegistryError),
    /// The client cannot be made, or the broker does not answer.
    #[error("kafka does not answer: check that it runs and that KAFKA_BOOTSTRAP_SERVERS names it")]
    Kafka(#[from] KafkaError),
    /// The topics are not as they must be.
    #[error("{0}")]
    Topics(String),
    /// A metric is there twice.
    #[error("the stock-processor cannot register its metrics")]
    Metrics(#[from] prometheus::Error),
}

/// The stock-processor died.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A task of it panicked.
    #[error("a part of the stock-processor died: see the log before this")]
    Died,
    /// Kafka's client gave up.
    #[error("kafka's client gave up")]
    Kafka(#[from] KafkaError),
}

/// A stock-processor, ready to run.
pub struct App {
    context: Context,
    poller: Poller,
    shared: Arc<Shared>,
    publisher: Arc<Publisher>,
    consumer: Arc<StockConsumer>,
    inboxes: Vec<Arc<Inbox>>,
    to_poll: mpsc::Sender<ToPoll>,
    positions: Positions,
    orphaned: Arc<AtomicBool>,
}

/// Connects to everything and checks that it is as it must be.
pub async fn build(config: Config, context: &Context) -> Result<App, BuildError> {
    context.health.not_ready(HEALTH, "waiting for partitions");
    let metrics = Arc::new(Metrics::register(&context.metrics)?);
    let database = Database::connect(&config.database).await?;
    migrate::check(&database).await?;
    let names = config.kafka.names.clone();
    let registry = Registry::new(&config.registry, names.clone())?;

    let publisher = Arc::new(Publisher::new(&config.kafka, Arc::clone(&metrics))?);
    let consumer = Arc::new(consumer(&config.kafka, &config.args)?);
    let asked = (Arc::clone(&consumer), names.clone());
    let partitions = tokio::task::spawn_blocking(move || partitions(&asked.0, &asked.1))
        .await
        .map_err(|_| BuildError::Topics("asking for the topics failed".to_owned()))??;
    let readers = Readers {
        orders: registry.reader().await?,
        adjustments: registry.reader().await?,
        partitions,
    };
    let writers = Writers::open(&registry, names.clone()).await?;

    let workers = usize::from(config.args.connections);
    let inboxes: Vec<_> = (0..workers)
        .map(|_| {
            Arc::new(Inbox::new(
                config.args.batch_records as usize,
                config.args.batch_bytes as usize,
            ))
        })
        .collect();
    let shared = Arc::new(Shared {
        database: database.clone(),
        readers,
        writers,
        names: names.clone(),
        metrics: Arc::clone(&metrics),
        shutdown: context.shutdown.clone(),
        most_cached: (config.args.cached_merchants as usize).div_ceil(workers),
    });
    let (to_poll, told) = mpsc::channel();
    let positions = Positions::default();
    let orphaned = Arc::new(AtomicBool::new(false));
    let poller = Poller {
        consumer: Arc::clone(&consumer),
        names,
        database,
        runtime: tokio::runtime::Handle::current(),
        inboxes: inboxes.clone(),
        told,
        positions: Arc::clone(&positions),
        metrics,
        health: context.health.clone(),
        shutdown: context.shutdown.clone(),
        orphaned: Arc::clone(&orphaned),
    };
    Ok(App {
        context: context.clone(),
        poller,
        shared,
        publisher,
        consumer,
        inboxes,
        to_poll,
        positions,
        orphaned,
    })
}

/// How many partitions every topic read here has: the same, or a merchant's records would meet in two shards.
fn partitions(consumer: &StockConsumer, names: &stream::Names) -> Result<i32, BuildError> {
    let mut counts = HashMap::new();
    for source in Source::ALL {
        let topic = names.topic(source.topic());
        let metadata = consumer.fetch_metadata(Some(&topic), KAFKA_TIMEOUT)?;
        let found = metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic && found.error().is_none());
        let count = found.map_or(0, |found| found.partitions().len());
        if count == 0 {
            return Err(BuildError::Topics(format!(
                "there is no topic {topic}: run `larder topics apply`"
            )));
        }
        counts.insert(count, topic);
    }
    match counts.keys().copied().collect::<Vec<_>>().as_slice() {
        [count] => Ok(i32::try_from(*count).unwrap_or(i32::MAX)),
        _ => Err(BuildError::Topics(format!(
            "the topics differ in their number of partitions ({counts:?}): see `larder topics plan`"
        ))),
    }
}

impl App {
    /// Works until the process is asked to stop.
    pub async fn run(self) -> Result<(), RunError> {
        // A thread does not end with the future that started it; without this it would stay in the group for ever.
        let _orphan = Orphan(self.orphaned);
        let mut parts = tokio::task::JoinSet::new();
        for inbox in &self.inboxes {
            let (publications, waiting) = tokio::sync::mpsc::channel(PUBLICATIONS);
            parts.spawn(Arc::clone(&self.publisher).run(waiting, self.to_poll.clone()));
            let worker = Worker::new(
                Arc::clone(&self.shared),
                Arc::clone(inbox),
                publications,
                self.to_poll.clone(),
            );
            parts.spawn(worker.run());
        }
        parts.spawn(watchdog::watch(
            Arc::clone(&self.consumer),
            self.shared.names.clone(),
            self.positions,
            Arc::clone(&self.shared.metrics),
            self.to_poll,
            self.context.shutdown.clone(),
        ));
        parts.spawn(follow_catalogue(
            self.shared.database.clone(),
            self.inboxes,
            self.context.shutdown.clone(),
        ));

        let (done, mut polled) = tokio::sync::oneshot::channel();
        thread::Builder::new()
            .name("poll-stock".to_owned())
            .spawn(move || {
                // Nobody listens only when another part has died already.
                let _ = done.send(self.poller.run());
            })
            .map_err(|_| RunError::Died)?;
        loop {
            tokio::select! {
                result = &mut polled => {
                    result.map_err(|_| RunError::Died)??;
                    break;
                }
                Some(ended) = parts.join_next() => {
                    if ended.is_err() || !self.context.shutdown.is_requested() {
                        return Err(RunError::Died);
                    }
                }
            }
        }
        while let Some(ended) = parts.join_next().await {
            ended.map_err(|_| RunError::Died)?;
        }
        Ok(())
    }
}

/// Ends the polling thread when dropped.
struct Orphan(Arc<AtomicBool>);

impl Drop for Orphan {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Tells the workers whose catalogue has changed.
async fn follow_catalogue(database: Database, inboxes: Vec<Arc<Inbox>>, shutdown: service::Shutdown) {
    while !shutdown.is_requested() {
        tokio::select! {
            () = shutdown.requested() => return,
            error = follow(&database, &inboxes) => warn!(error = %stream::consume::chain(&error), "lost the catalogue's notifications: listening again"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Listens until that fails.
async fn follow(database: &Database, inboxes: &[Arc<Inbox>]) -> StoreError {
    let mut changes = match Changes::listen(database).await {
        Ok(changes) => changes,
        Err(error) => return error,
    };
    // What changed while nobody listened is not told.
    for inbox in inboxes {
        inbox.forget(None);
    }
    loop {
        match changes.next().await {
            Ok(Some(Change::Merchant(merchant))) => inboxes.iter().for_each(|inbox| inbox.forget(Some(merchant))),
            Ok(Some(Change::Anything)) => inboxes.iter().for_each(|inbox| inbox.forget(None)),
            Ok(None) => return StoreError::Conflict("the connection was closed".to_owned()),
            Err(error) => return error,
        }
    }
}
