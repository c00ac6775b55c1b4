//! The service as a whole: what it is made of, which paths it has, and how it starts and stops.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router, middleware,
    routing::{get, post},
};
use service::Context;
use store::{Database, StoreError};
use stream::{Registry, RegistryError};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use crate::{
    adjustments::{self, AcceptedAdjustments},
    catalogue::Catalogue,
    config::{Config, Limits},
    edge,
    metrics::Metrics,
    orders::{self, AcceptedOrders},
    place::{self, Events, Outlet},
    read,
    replay::Replay,
    server,
};

/// Names of this service's components in `/readyz`.
const KAFKA: &str = "ingest_kafka";
const CATALOGUE: &str = "ingest_catalogue";
/// How often Kafka is asked whether it is there, and how long it may take to say so.
const KAFKA_CHECK: Duration = Duration::from_secs(5);
const KAFKA_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait before listening to the catalogue again.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);
/// Connections to Postgres without which this service cannot work: one listens, the others ask.
const MIN_CONNECTIONS: u32 = 3;

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Postgres is away or not migrated.
    #[error("order-ingest needs the catalogue")]
    Database(#[from] StoreError),
    /// The schemas are not registered, or the registry is away.
    #[error("order-ingest needs the ids of its schemas")]
    Registry(#[from] RegistryError),
    /// The settings of Kafka's client are not usable.
    #[error("order-ingest cannot make a producer of these settings")]
    Kafka(#[from] rdkafka::error::KafkaError),
    /// A metric is there twice.
    #[error("order-ingest cannot register its metrics")]
    Metrics(#[from] prometheus::Error),
    /// The port is taken.
    #[error("cannot listen on {address} for orders: choose another with --ingest-listen or LARDER_INGEST_LISTEN")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// Why it cannot.
        #[source]
        source: io::Error,
    },
}

/// The service cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Kafka's client gave up for good; a new process gets a new one.
    #[error("the producer is dead: its log says why")]
    Producer,
    /// Something that runs beside the requests died.
    #[error("a background task died")]
    Background(#[from] tokio::task::JoinError),
}

/// What requests are handled with.
pub(crate) struct Ingest {
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) database: Database,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) events: Events,
    pub(crate) orders: AcceptedOrders,
    pub(crate) adjustments: AcceptedAdjustments,
    pub(crate) replay: Arc<Replay>,
    pub(crate) requests: Semaphore,
}

/// The service, connected and bound.
pub struct App {
    /// Where it takes orders.
    pub addr: SocketAddr,
    listener: TcpListener,
    ingest: Arc<Ingest>,
    context: Context,
}

/// Connects to everything and binds.
pub async fn build(config: Config, context: &Context) -> Result<App, BuildError> {
    let kafka = place::kafka(&config)?;
    build_onto(kafka, config, context).await
}

/// The same with something else to take the records.
pub async fn build_onto(outlet: Box<dyn Outlet>, config: Config, context: &Context) -> Result<App, BuildError> {
    context.health.not_ready(KAFKA, "not asked yet");
    context.health.not_ready(CATALOGUE, "not listening yet");
    let metrics = Metrics::new(&context.metrics)?;
    let mut database = config.database;
    database.max_connections = database.max_connections.max(MIN_CONNECTIONS);
    let database = Database::connect(&database).await?;
    store::migrate::check(&database).await?;
    let registry = Registry::new(&config.registry, config.kafka.names.clone())?;
    let events = Events::new(outlet, &config.kafka, &registry, &config.limits).await?;
    let refused = |source| BuildError::Listen {
        address: config.listen,
        source,
    };
    let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
    let addr = listener.local_addr().map_err(refused)?;
    let ingest = Ingest {
        catalogue: Catalogue::new(database.clone(), metrics.clone(), &config.limits),
        requests: Semaphore::new(config.limits.requests),
        limits: config.limits,
        orders: AcceptedOrders::new(),
        adjustments: adjustments::remembered(),
        replay: Replay::new(database.clone(), config.limits.replay_timeout),
        metrics,
        database,
        events,
    };
    tracing::info!(%addr, "takes orders");
    Ok(App {
        addr,
        listener,
        ingest: Arc::new(ingest),
        context: context.clone(),
    })
}

impl App {
    /// Serves until the process is asked to stop.
    pub async fn run(self) -> Result<(), RunError> {
        let Self {
            listener,
            ingest,
            context,
            ..
        } = self;
        let mut background = JoinSet::new();
        background.spawn(follow_catalogue(Arc::clone(&ingest), context.clone()));
        background.spawn(watch_kafka(Arc::clone(&ingest), context.clone()));
        background.spawn(wait_for_death(Arc::clone(&ingest), context.clone()));
        let router = router(&ingest);
        server::serve(
            listener,
            router,
            &ingest.limits,
            &ingest.metrics.connections,
            &context.shutdown,
        )
        .await;
        let mut result = Ok(());
        while let Some(ended) = background.join_next().await {
            result = result.and(ended?);
        }
        result
    }
}

fn router(ingest: &Arc<Ingest>) -> Router {
    Router::new()
        .route("/orders", post(orders::post))
        .route("/orders/{id}", get(read::order))
        .route("/stock", get(read::stock))
        .route("/ingredients/{id}/adjustments", post(adjustments::post))
        .route("/adjustments/{id}", get(adjustments::get))
        .route("/order", post(orders::post_one_line))
        .route("/api/gateway/orders", post(orders::post_one_line))
        .method_not_allowed_fallback(edge::method_not_allowed)
        .fallback(edge::not_found)
        .layer(middleware::from_fn_with_state(Arc::clone(ingest), edge::around))
        .with_state(Arc::clone(ingest))
}

/// Listens to changes of the catalogue, again and again. What is in memory serves on while nobody tells; the service
/// stays ready then, for orders of merchants it knows are taken all the same.
async fn follow_catalogue(ingest: Arc<Ingest>, context: Context) -> Result<(), RunError> {
    let listening = || {
        ingest.metrics.catalogue_listening.set(1);
        context.health.ready(CATALOGUE);
    };
    while !context.shutdown.is_requested() {
        tokio::select! {
            ended = ingest.catalogue.follow(listening) => match ended {
                Ok(()) => tracing::warn!("changes of the catalogue are not told: the connection was lost"),
                Err(error) => {
                    tracing::warn!(error = %service::run::Chain(&error), "changes of the catalogue are not told");
                }
            },
            () = context.shutdown.requested() => break,
        }
        ingest.metrics.catalogue_listening.set(0);
        pause(&context, LISTEN_PAUSE).await;
    }
    Ok(())
}

/// Asks Kafka now and then whether it is there.
async fn watch_kafka(ingest: Arc<Ingest>, context: Context) -> Result<(), RunError> {
    while !context.shutdown.is_requested() {
        let asked = Arc::clone(&ingest);
        match tokio::task::spawn_blocking(move || asked.events.check(KAFKA_TIMEOUT)).await? {
            Ok(()) => context.health.ready(KAFKA),
            Err(reason) => context.health.not_ready(KAFKA, reason),
        }
        ingest.metrics.queue.set(ingest.events.waiting().into());
        pause(&context, KAFKA_CHECK).await;
    }
    Ok(())
}

/// Stops the process when its producer is of no more use.
async fn wait_for_death(ingest: Arc<Ingest>, context: Context) -> Result<(), RunError> {
    tokio::select! {
        () = ingest.events.dead.notified() => {
            context.shutdown.request();
            Err(RunError::Producer)
        }
        () = context.shutdown.requested() => Ok(()),
    }
}

async fn pause(context: &Context, pause: Duration) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = context.shutdown.requested() => {}
    }
}
