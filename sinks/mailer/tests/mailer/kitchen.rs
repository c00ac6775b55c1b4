//! A mailer on real servers, with a mail server that fails on demand.

use std::time::Duration;

use domain::{
    amount::Quantity,
    ids::{AlertId, IngredientId, MerchantId},
};
use mailcatcher::{Config as CatcherConfig, MailCatcher};
use mailer::{Backoff, Config, SmtpConfig};
use schemas::events::{Micros, Notify};
use service::Context;
use store::mail::{self, Delivery};
use stream::Record;
use testkit::{Env, wait_for};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// One test's servers.
pub(crate) struct Kitchen {
    pub(crate) env: Env,
    pub(crate) post: MailCatcher,
}

/// A mailer that runs.
pub(crate) struct Running {
    context: Context,
    task: JoinHandle<Result<(), mailer::RunError>>,
}

impl Kitchen {
    pub(crate) async fn open() -> Self {
        let (env, post) = tokio::join!(Env::fresh(), MailCatcher::start(CatcherConfig::default()));
        Self {
            env,
            post: post.unwrap(),
        }
    }

    /// Each alert its own mail, tried again at once.
    pub(crate) fn config(&self) -> Config {
        Config {
            kafka: self.env.kafka.clone(),
            registry: self.env.registry.clone(),
            database: self.env.database.clone(),
            smtp: SmtpConfig {
                url: self.post.url().into(),
                password: None,
                ca_file: None,
                send_timeout: Duration::from_secs(20),
            },
            from: "Larder <larder@example.org>".parse().unwrap(),
            digest_window: Duration::ZERO,
            workers: 2,
            backoff: Backoff {
                base: Duration::from_millis(100),
                cap: Duration::from_secs(1),
            },
            give_up_after: Duration::from_hours(1),
        }
    }

    pub(crate) async fn start(&self, config: Config) -> Running {
        let context = Context::default();
        let app = mailer::build(config, &context).await.unwrap();
        let task = tokio::spawn(app.run());
        Running { context, task }
    }

    pub(crate) async fn publish(&self, alert: &Notify) -> (i32, i64) {
        self.env.publish(alert, &alert.alert_id.to_string()).await
    }

    pub(crate) async fn delivery(&self, alert: &Notify) -> Option<Delivery> {
        mail::delivery(&self.env.store, alert.merchant_id, alert.alert_id)
            .await
            .unwrap()
    }

    /// Waits until an alert's mail is in this state.
    pub(crate) async fn wait_for_state(&self, alert: &Notify, state: &str) -> Delivery {
        let what = format!("alert {} to be {state}", alert.alert_id);
        let ended = async || self.delivery(alert).await.filter(|delivery| delivery.state == state);
        wait_for(&what, PATIENCE, ended).await
    }

    /// Waits until the dead-letter topic has so many records.
    pub(crate) async fn wait_for_dead_letters(&self, count: usize) -> Vec<Record> {
        let topic = self
            .env
            .names()
            .dead_letters(&schemas::topics::NOTIFY, schemas::topics::MAILER_GROUP);
        self.env.wait_for_records(&topic, count, PATIENCE).await
    }
}

impl Running {
    pub(crate) fn is_ready(&self) -> bool {
        self.context.health.is_ready()
    }

    pub(crate) fn metrics(&self) -> String {
        String::from_utf8(service::metrics::render(&self.context.metrics).unwrap()).unwrap()
    }

    pub(crate) async fn stop(self) {
        self.context.shutdown.request();
        self.task.await.unwrap().unwrap();
    }
}

/// An alert of a merchant about one of its ingredients; every call is another crossing.
pub(crate) fn alert(merchant: i64, ingredient: &str) -> Notify {
    let q = |amount| Quantity::new(amount).unwrap();
    Notify {
        alert_id: AlertId::new(Uuid::now_v7()),
        merchant_id: MerchantId::new(merchant),
        merchant_name: "Burger Bar".to_owned(),
        ingredient_id: IngredientId::new(i64::try_from(ingredient.len()).unwrap()),
        ingredient_name: ingredient.to_owned(),
        unit: "g".to_owned(),
        level_before: q(500),
        level_after: q(480),
        full_level: q(1000),
        threshold_pct: 50,
        recipients: vec![format!("cook{merchant}@example.org")],
        raised_at: Micros(1_795_203_300_000_000),
    }
}
