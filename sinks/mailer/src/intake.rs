//! From the topic into the table: an alert is entered before its record counts as read.

use std::{sync::Arc, time::Duration};

use schemas::events::Notify;
use store::{
    Database, StoreError,
    mail::{self, SourceRecord},
};
use stream::{Handler, Outcome, Reader, Record};
use tokio::sync::Notify as Wake;

pub(crate) struct Intake {
    pub(crate) reader: Reader<Notify>,
    pub(crate) database: Database,
    pub(crate) window: Duration,
    pub(crate) give_up_after: Duration,
    /// Told of every alert that was entered.
    pub(crate) wake: Arc<Wake>,
}

impl Handler for Intake {
    async fn handle(&self, record: &Record) -> Outcome {
        let alert = match self.reader.decode(record.value.as_deref()).await {
            Ok(alert) => alert,
            Err(failure) => {
                return match failure.reason() {
                    Some(reason) => Outcome::Reject {
                        reason,
                        detail: failure.to_string(),
                    },
                    None => Outcome::Retry(failure.into()),
                };
            }
        };
        let source = SourceRecord {
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            key: record.key.clone(),
            value: record.value.clone().unwrap_or_default(),
            headers: record.headers.clone(),
        };
        match mail::enter(&self.database, &alert, &source, self.window, self.give_up_after).await {
            Ok(true) => {
                self.wake.notify_one();
                Outcome::Done
            }
            Ok(false) => {
                tracing::info!(alert_id = %alert.alert_id, "the alert is known already: a repeat");
                Outcome::Done
            }
            Err(error) if error.is_refusal() || matches!(error, StoreError::Conflict(_)) => Outcome::Reject {
                reason: "unstorable",
                detail: error.to_string(),
            },
            Err(error) => Outcome::Retry(error.into()),
        }
    }
}
