//! From the table to the mail server: takes what is due, sends it outside any transaction, writes what came of it.

use std::{sync::Arc, time::Duration};

use lettre::message::Mailbox;
use store::{
    Database, StoreError,
    mail::{self, ClaimedMail},
};
use tokio::{sync::Notify as Wake, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    backoff::Backoff,
    letter::Letter,
    message::{MessageError, Outgoing},
    metrics::Metrics,
    smtp::{SendError, Smtp},
};

/// The longest time without looking at the table: another mailer may have left something due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The shortest, so that a row which somebody else has locked is not asked for without end.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// What a claim outlasts the longest sending by: time to write the outcome.
const TO_WRITE: Duration = Duration::from_mins(1);

/// How one attempt ended.
enum Outcome {
    Sent { note: Option<String> },
    Retry { error: String },
    Failed { failure: &'static str, detail: String },
}

pub(crate) struct Dispatcher {
    pub(crate) database: Database,
    pub(crate) smtp: Smtp,
    pub(crate) from: Mailbox,
    pub(crate) workers: usize,
    pub(crate) send_timeout: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) metrics: Metrics,
    pub(crate) health: service::Health,
    /// Tells of every alert that was entered.
    pub(crate) wake: Arc<Wake>,
    /// To be told of every mail that failed.
    pub(crate) failed: Arc<Wake>,
}

/// A mail's task died.
#[derive(Debug, thiserror::Error)]
#[error("sending a mail panicked; the panic is in the log above")]
pub(crate) struct Panicked;

impl Dispatcher {
    /// Sends what is due until `stop` is cancelled; what has been begun is then ended.
    pub(crate) async fn run(self: &Arc<Self>, stop: &CancellationToken) -> Result<(), Panicked> {
        let mut sending = JoinSet::new();
        while !stop.is_cancelled() {
            while sending.len() >= self.workers {
                finish(sending.join_next().await)?;
            }
            let pause = match self.next().await {
                Ok(Next::Mail(mail)) => {
                    let dispatcher = Arc::clone(self);
                    sending.spawn(async move { dispatcher.deliver(*mail).await });
                    continue;
                }
                Ok(Next::Nothing(pause)) => {
                    self.health.ready(crate::POSTGRES);
                    pause
                }
                Err(error) => {
                    self.health.not_ready(crate::POSTGRES, error.to_string());
                    LOOK_EVERY
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                ended = sending.join_next(), if !sending.is_empty() => finish(ended)?,
            }
        }
        while let Some(ended) = sending.join_next().await {
            finish(Some(ended))?;
        }
        self.smtp.close();
        Ok(())
    }

    async fn next(&self) -> Result<Next, StoreError> {
        let lease = self.send_timeout + TO_WRITE;
        if let Some(mail) = mail::claim(&self.database, lease, self.from.email.domain()).await? {
            return Ok(Next::Mail(Box::new(mail)));
        }
        let backlog = mail::backlog(&self.database).await?;
        self.metrics.show(&backlog);
        Ok(Next::Nothing(
            backlog.next_due.unwrap_or(LOOK_EVERY).clamp(LOOK_AGAIN, LOOK_EVERY),
        ))
    }

    async fn deliver(&self, mail: ClaimedMail) {
        let outcome = self.attempt(&mail).await;
        let deadline = Instant::now() + TO_WRITE;
        // The outcome must be written while the claim lasts: what was sent and is not marked would be sent again.
        while let Err(error) = self.write(&mail, &outcome).await {
            warn!(%error, digest_id = %mail.claim.digest_id, "cannot write what became of a mail");
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn attempt(&self, mail: &ClaimedMail) -> Outcome {
        let letter = match Letter::write(&mail.alerts) {
            Ok(letter) => letter,
            Err(error) => {
                return Outcome::Failed {
                    failure: "unwritable",
                    detail: error.to_string(),
                };
            }
        };
        let recipients = mail.alerts.first().map_or(&[][..], |alert| &alert.recipients);
        let (message, mut passed_over) = match Outgoing::build(&self.from, recipients, &mail.message_id, &letter) {
            Ok(built) => built,
            Err(error @ MessageError::NoRecipient { .. }) => {
                return Outcome::Failed {
                    failure: "no_valid_recipient",
                    detail: error.to_string(),
                };
            }
            Err(error) => {
                return Outcome::Failed {
                    failure: "unwritable",
                    detail: error.to_string(),
                };
            }
        };
        let begun = Instant::now();
        let result = self.smtp.send(&message).await;
        self.metrics.send_seconds.observe(begun.elapsed().as_secs_f64());
        match result {
            Ok(refused) => {
                passed_over.extend(refused);
                Outcome::Sent {
                    note: (!passed_over.is_empty()).then(|| passed_over.join("; ")),
                }
            }
            Err(error @ SendError::Rejected(_)) => Outcome::Failed {
                failure: "smtp_rejected",
                detail: error.to_string(),
            },
            Err(error @ SendError::NotNow(_)) if mail.is_last => Outcome::Failed {
                failure: "gave_up",
                detail: error.to_string(),
            },
            Err(error @ SendError::NotNow(_)) => Outcome::Retry {
                error: error.to_string(),
            },
        }
    }

    async fn write(&self, mail: &ClaimedMail, outcome: &Outcome) -> Result<(), StoreError> {
        let claim = mail.claim;
        let (digest_id, attempt, alerts) = (claim.digest_id, claim.attempt, mail.alerts.len());
        let traceparent = mail.traceparent.as_deref();
        let held = match outcome {
            Outcome::Sent { note } => {
                let held = mail::mark_sent(&self.database, claim, note.as_deref()).await?;
                info!(%digest_id, attempt, alerts, traceparent, note, "sent a mail");
                self.metrics.count("sent");
                held
            }
            Outcome::Retry { error } => {
                let delay = self.backoff.after(attempt, |longest| fastrand::u64(0..=longest));
                let held = mail::reschedule(&self.database, claim, delay, error).await?;
                warn!(%digest_id, attempt, alerts, traceparent, error, ?delay, "will send the mail again");
                self.metrics.count("retry");
                self.wake.notify_one();
                held
            }
            Outcome::Failed { failure, detail } => {
                let held = mail::mark_failed(&self.database, claim, failure, detail).await?;
                warn!(%digest_id, attempt, alerts, traceparent, failure, detail, "gave a mail up");
                self.metrics.count("failed");
                self.failed.notify_one();
                held
            }
        };
        if !held {
            warn!(%digest_id, attempt, "the outcome was written before, or the claim had run out");
        }
        Ok(())
    }
}

enum Next {
    Mail(Box<ClaimedMail>),
    Nothing(Duration),
}

fn finish(ended: Option<Result<(), tokio::task::JoinError>>) -> Result<(), Panicked> {
    match ended {
        Some(Err(error)) if error.is_panic() => Err(Panicked),
        _ => Ok(()),
    }
}
