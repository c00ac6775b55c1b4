//! Larder with everything around it: services in this process, commands as the real binary.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    time::Duration,
};

use mailcatcher::MailCatcher;
use serde::Deserialize;
use serde_json::{Value, json};
use service::{Context, Shutdown};
use testkit::{Env, wait_for};
use tokio::task::JoinSet;

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Services that run, and a merchant to order from.
pub(crate) struct Larder {
    pub(crate) env: Env,
    pub(crate) mails: MailCatcher,
    /// Base of the API.
    pub(crate) url: String,
    http: reqwest::Client,
    context: Context,
    services: JoinSet<()>,
}

/// What `larder seed --demo --json` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Demo {
    pub(crate) api_key: String,
    pub(crate) merchant_id: i64,
    pub(crate) customer_id: i64,
    pub(crate) product_id: i64,
    pub(crate) ingredients: BTreeMap<String, i64>,
}

/// Which services run in this process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Services {
    All,
    WithoutStock,
}

impl Larder {
    /// Every service in a fresh corner of the servers.
    pub(crate) async fn start(services: Services) -> Self {
        let env = Env::fresh().await;
        let mails = MailCatcher::start(mailcatcher::Config::default()).await.unwrap();
        let context = Context::new(Shutdown::default());
        let mut running = JoinSet::new();
        let mailer = mailer::build(mailer(&env, &mails), &context).await.unwrap();
        running.spawn(async { mailer.run().await.unwrap() });
        if services == Services::All {
            let args = stock_processor::Args::default();
            let config = args.into_config(env.kafka.clone(), env.registry.clone(), env.database.clone());
            let stock = stock_processor::build(config, &context).await.unwrap();
            running.spawn(async { stock.run().await.unwrap() });
        }
        let config = order_ingest::Config {
            listen: ([127, 0, 0, 1], 0).into(),
            kafka: env.kafka.clone(),
            registry: env.registry.clone(),
            database: env.database.clone(),
            limits: order_ingest::Limits::default(),
        };
        let ingest = order_ingest::build(config, &context).await.unwrap();
        let url = format!("http://{}", ingest.addr);
        running.spawn(async { ingest.run().await.unwrap() });
        let http = reqwest::Client::new();
        Self {
            env,
            mails,
            url,
            http,
            context,
            services: running,
        }
    }

    /// Stops every service and stops the test if one did not end well.
    pub(crate) async fn stop(&mut self) {
        self.context.shutdown.request();
        while let Some(ended) = self.services.join_next().await {
            ended.unwrap();
        }
    }

    /// Runs the real binary in this corner and returns what it printed.
    pub(crate) fn command(&self, args: &[&str]) -> String {
        let output = self.binary(args).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "larder {args:?} ended with {}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The real binary with this corner in its environment.
    pub(crate) fn binary(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        command.args(args).envs(self.env.variables());
        command
    }

    /// The burger merchant.
    pub(crate) fn demo(&self) -> Demo {
        serde_json::from_str(&self.command(&["seed", "--demo", "--json"])).unwrap()
    }

    /// Posts JSON and returns the status and the answer.
    pub(crate) async fn post(&self, key: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self
            .http
            .post(format!("{}{path}", self.url))
            .bearer_auth(key)
            .json(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Reads JSON; none where it is not there.
    pub(crate) async fn get(&self, key: &str, path: &str) -> Option<Value> {
        let answer = self
            .http
            .get(format!("{}{path}", self.url))
            .bearer_auth(key)
            .send()
            .await
            .unwrap();
        match answer.status().as_u16() {
            200 => Some(answer.json().await.unwrap()),
            404 => None,
            status => panic!("GET {path} answered {status}"),
        }
    }

    /// Orders, and returns the order's id once it is accepted.
    pub(crate) async fn order(&self, key: &str, customer: &Value, items: &[(Value, i64)]) -> String {
        let items: Vec<Value> = items
            .iter()
            .map(|(product, quantity)| json!({ "product_id": product, "quantity": quantity }))
            .collect();
        let body = json!({ "customer_id": customer, "items": items });
        let (status, answer) = self.post(key, "/orders", &body).await;
        assert_eq!(status, 202, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// Waits until an order is decided.
    pub(crate) async fn decided(&self, key: &str, order: &str) -> Value {
        wait_for("an order to be decided", PATIENCE, async || {
            let order = self.get(key, &format!("/orders/{order}")).await?;
            (order["status"] != "pending").then_some(order)
        })
        .await
    }

    /// One ingredient as `GET /stock` shows it.
    pub(crate) async fn stock(&self, key: &str, reference: &str) -> Value {
        let stock = self.get(key, "/stock").await.unwrap();
        let ingredients = stock["ingredients"].as_array().unwrap();
        ingredients
            .iter()
            .find(|ingredient| ingredient["reference"] == reference)
            .unwrap()
            .clone()
    }
}

/// Every alert a mail of its own, sent at once.
fn mailer(env: &Env, mails: &MailCatcher) -> mailer::Config {
    mailer::Config {
        kafka: env.kafka.clone(),
        registry: env.registry.clone(),
        database: env.database.clone(),
        smtp: mailer::SmtpConfig {
            url: mails.url().into(),
            password: None,
            ca_file: None,
            send_timeout: Duration::from_secs(10),
        },
        from: "Larder <alerts@larder.example>".parse().unwrap(),
        digest_window: Duration::ZERO,
        workers: 2,
        backoff: mailer::Backoff {
            base: Duration::from_millis(200),
            cap: Duration::from_secs(5),
        },
        give_up_after: PATIENCE,
    }
}
