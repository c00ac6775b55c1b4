//! The mailer: reads `notify`, tells merchants by mail.
//!
//! An alert is entered into the table `mail_deliveries` before its record counts as read ([`store::mail`]), so a repeat
//! of the event is no second mail. Alerts of one merchant within the digest window share a mail. Due mails are claimed
//! by any of several mailers, rendered ([`letter`]), made into a message ([`message`]), handed over ([`smtp`]) and
//! marked as sent, to be tried again ([`backoff`]) or as failed; the record of a failed alert goes to the dead letters.
//!
//! What is promised: every alert is mailed, or its record stands in the dead-letter topic with the reason. A mail is
//! handed over once, unless the answer of the mail server or the mark after it is lost (a crash, a cut connection):
//! then it is handed over again, with the same Message-ID and the same alerts, once for each such loss.
//!
//! What is not here: when an alert is raised (`domain::threshold`, `stock-processor`).
//!
//! To send another kind of mail: give its event a table like this one's, a letter, and a handler like `intake`.

use std::{sync::Arc, time::Duration};

use lettre::message::Mailbox;
use schemas::{
    events::Notify,
    topics::{MAILER_GROUP, NOTIFY},
};
use service::{Context, run::Chain};
use store::{Database, DatabaseConfig, StoreError};
use stream::{DeadLetters, KafkaConfig, Registry, RegistryConfig, RegistryError, consume};
use tokio::sync::{Notify as Wake, watch};
use tokio_util::sync::CancellationToken;

pub mod args;
pub mod backoff;
mod dead_letters;
mod dispatch;
mod intake;
pub mod letter;
pub mod message;
pub mod metrics;
mod server;
pub mod smtp;

pub use args::Args;
pub use backoff::Backoff;
pub use server::{SmtpConfig, SmtpConfigError};

/// What readiness calls the mailer's consumer.
const KAFKA: &str = "mailer_kafka";
/// What readiness calls the mailer's database.
const POSTGRES: &str = "mailer_postgres";

/// What a mailer needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the alerts are read.
    pub kafka: KafkaConfig,
    /// Where their schema is.
    pub registry: RegistryConfig,
    /// Where mails are kept until they are sent.
    pub database: DatabaseConfig,
    /// Where mails are handed over.
    pub smtp: SmtpConfig,
    /// Who sends them; the host is also the right-hand side of every Message-ID.
    pub from: Mailbox,
    /// For how long alerts of one merchant are gathered into one mail; zero sends each by itself.
    pub digest_window: Duration,
    /// Mails that are sent at the same time.
    pub workers: usize,
    /// When a mail is tried again.
    pub backoff: Backoff,
    /// When trying ends.
    pub give_up_after: Duration,
}

/// The mailer cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Postgres, or its schema.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The mail server's address.
    #[error(transparent)]
    Smtp(#[from] SmtpConfigError),
    /// Kafka's client.
    #[error("the writer of dead letters cannot be made: check the configuration of Kafka")]
    Kafka(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A metric is registered twice.
    #[error("the mailer's metrics are registered already: one mailer a process")]
    Metrics(#[from] prometheus::Error),
}

/// The mailer died.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Reading ended.
    #[error("reading alerts ended")]
    Consume(#[from] consume::ConsumeError),
    /// Sending ended.
    #[error("sending mails ended: {0}")]
    Dispatch(String),
}

/// A mailer, connected.
pub struct App {
    kafka: KafkaConfig,
    context: Context,
    intake: intake::Intake,
    dispatcher: Arc<dispatch::Dispatcher>,
    undertaker: dead_letters::Undertaker,
}

/// Connects to everything but the mail server, which is met with the first mail.
pub async fn build(config: Config, context: &Context) -> Result<App, BuildError> {
    let smtp = smtp::Smtp::new(&config.smtp)?;
    let database = Database::connect(&config.database).await?;
    store::migrate::check(&database).await?;
    let registry = Registry::new(&config.registry, config.kafka.names.clone())?;
    let reader = registry.reader::<Notify>().await?;
    let dead_letters =
        DeadLetters::connect(&config.kafka, MAILER_GROUP).map_err(|error| BuildError::Kafka(error.into()))?;
    let metrics = metrics::Metrics::register(&context.metrics)?;
    let (entered, failed) = (Arc::new(Wake::new()), Arc::new(Wake::new()));
    context.health.ready(POSTGRES);
    context.health.not_ready(KAFKA, "no partition is assigned yet");
    tracing::info!(server = ?smtp, from = %config.from, window = ?config.digest_window, "the mailer is built");
    Ok(App {
        kafka: config.kafka,
        context: context.clone(),
        intake: intake::Intake {
            reader,
            database: database.clone(),
            window: config.digest_window,
            give_up_after: config.give_up_after,
            wake: Arc::clone(&entered),
        },
        dispatcher: Arc::new(dispatch::Dispatcher {
            database: database.clone(),
            smtp,
            from: config.from,
            workers: config.workers.max(1),
            send_timeout: config.smtp.send_timeout,
            backoff: config.backoff,
            metrics: metrics.clone(),
            health: context.health.clone(),
            wake: entered,
            failed: Arc::clone(&failed),
        }),
        undertaker: dead_letters::Undertaker {
            database,
            dead_letters,
            metrics,
            wake: failed,
        },
    })
}

impl App {
    /// Reads and sends until the context says stop. Mails that are being sent then are ended first.
    pub async fn run(self) -> Result<(), RunError> {
        // When one part dies the others are stopped too, and its error is the result.
        let stop = CancellationToken::new();
        let _stop_watching = stop.clone().drop_guard();
        let (running, assigned) = watch::channel(false);
        tokio::spawn(watch_readiness(self.context.clone(), assigned, stop.clone()));
        let reading = async {
            let result = consume::run(&self.kafka, MAILER_GROUP, &NOTIFY, &self.intake, running, stop.clone()).await;
            stop.cancel();
            result
        };
        let sending = async {
            let result = self.dispatcher.run(&stop).await;
            stop.cancel();
            result
        };
        let (read, sent, ()) = tokio::join!(reading, sending, self.undertaker.run(&stop));
        read?;
        sent.map_err(|error| RunError::Dispatch(Chain(&error).to_string()))
    }
}

/// Shows whether the consumer has partitions, and passes the process's stop on.
async fn watch_readiness(context: Context, mut assigned: watch::Receiver<bool>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = context.shutdown.requested() => return stop.cancel(),
            () = stop.cancelled() => return,
            changed = assigned.changed() => match changed {
                Ok(()) if *assigned.borrow_and_update() => context.health.ready(KAFKA),
                Ok(()) => context.health.not_ready(KAFKA, "no partition is assigned"),
                Err(_) => return,
            },
        }
    }
}
