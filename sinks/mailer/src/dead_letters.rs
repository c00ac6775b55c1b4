//! What becomes of alerts that nobody could be told: their records go to the dead letters, as they were.
//!
//! The failed row is the debt; it is paid by publishing and then marked. A crash between the two publishes again.

use std::{sync::Arc, time::Duration};

use schemas::topics::NOTIFY;
use store::{
    Database, StoreError,
    mail::{self, OwedDeadLetter},
};
use stream::{DeadLetters, Record, dead_letter::Why};
use tokio::sync::Notify as Wake;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::metrics::Metrics;

/// How many are taken at once.
const AT_ONCE: u8 = 100;
/// How long others keep off what was taken.
const LEASE: Duration = Duration::from_mins(1);
/// How often it is looked what is owed, and how much waits, when nothing is heard.
const LOOK_EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Undertaker {
    pub(crate) database: Database,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) metrics: Metrics,
    /// Told of every mail that failed.
    pub(crate) wake: Arc<Wake>,
}

impl Undertaker {
    /// Pays what is owed until `stop` is cancelled.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match self.round(stop).await {
                // There may be more.
                Ok(taken) if taken == usize::from(AT_ONCE) => continue,
                Ok(_) => {}
                Err(error) => warn!(%error, "cannot look for failed mails"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn round(&self, stop: &CancellationToken) -> Result<usize, StoreError> {
        self.metrics.show(&mail::backlog(&self.database).await?);
        let owed = mail::owed_dead_letters(&self.database, i64::from(AT_ONCE), LEASE).await?;
        for letter in &owed {
            if stop.is_cancelled() {
                break;
            }
            self.bury(letter).await?;
        }
        Ok(owed.len())
    }

    async fn bury(&self, letter: &OwedDeadLetter) -> Result<(), StoreError> {
        let source = &letter.record;
        let record = Record {
            topic: source.topic.clone(),
            partition: source.partition,
            offset: source.offset,
            key: source.key.clone(),
            value: Some(source.value.clone()),
            headers: source.headers.clone(),
            timestamp: -1,
        };
        let why = Why {
            reason: &letter.failure,
            detail: &letter.detail,
            attempts: u32::try_from(letter.attempts).unwrap_or_default(),
        };
        if let Err(error) = self.dead_letters.put(&NOTIFY, &record, why).await {
            error!(%error, alert_id = %letter.alert_id, "cannot put the record of a failed mail aside; it stays owed");
            return Ok(());
        }
        mail::mark_dead_lettered(&self.database, letter.merchant_id, letter.alert_id).await?;
        self.metrics
            .dead_letters
            .with_label_values(&[letter.failure.as_str()])
            .inc();
        Ok(())
    }
}
