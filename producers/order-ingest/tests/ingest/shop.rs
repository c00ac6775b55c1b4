//! Two merchants on real servers and an order-ingest that serves them.

use std::time::Duration;

use order_ingest::{Config, Limits};
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use schemas::{
    Topic,
    topics::{ORDER_CREATED, STOCK_ADJUSTED},
};
use serde_json::{Value, json};
use service::Context;
use store::{
    Database,
    seed::{self, NewCustomer, NewIngredient, NewMerchant, NewProduct, Seeded},
};
use testkit::{Env, wait_until};
use tokio::task::JoinHandle;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The key of the first merchant, and that of the second.
pub(crate) const KEY: &str = "larder_test_key_of_the_first_merchant";
pub(crate) const OTHER_KEY: &str = "larder_test_key_of_the_second_merchant";

pub(crate) struct Shop {
    pub(crate) env: Env,
    /// Sells `burger` for 12.50 and `fries` for 4.00 to `anna`, who has an address, and `bert`, who has none.
    pub(crate) merchant: Seeded,
    /// Sells `soup` to `carl`.
    pub(crate) other: Seeded,
    pub(crate) context: Context,
    base: String,
    client: reqwest::Client,
    task: JoinHandle<Result<(), order_ingest::app::RunError>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    /// With another configuration than usual. Waits until everything is ready.
    pub(crate) async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let shop = Self::start(change).await;
        wait_until("order-ingest to be ready", PATIENCE, async || {
            shop.context.health.is_ready()
        })
        .await;
        shop
    }

    /// Does not wait until everything is ready.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let env = Env::fresh().await;
        let merchant = seed(&env.store, "diner", KEY, &["burger", "fries"], &["anna", "bert"]).await;
        let other = seed(&env.store, "kitchen", OTHER_KEY, &["soup"], &["carl"]).await;
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            kafka: env.kafka.clone(),
            registry: env.registry.clone(),
            database: env.database.clone(),
            limits: Limits::default(),
        };
        change(&mut config);
        let context = Context::default();
        let app = order_ingest::build(config, &context).await.unwrap();
        Self {
            base: format!("http://{}", app.addr),
            client: reqwest::Client::new(),
            task: tokio::spawn(app.run()),
            env,
            merchant,
            other,
            context,
        }
    }

    /// Asks it to stop and returns when it has.
    pub(crate) async fn close(self) {
        self.context.shutdown.request();
        self.task.await.unwrap().unwrap();
    }

    /// A request of the first merchant.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(KEY)
    }

    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn order(&self, key: &str, body: &Value) -> Answer {
        send(
            self.request(Method::POST, "/orders")
                .header("idempotency-key", key)
                .json(body),
        )
        .await
    }

    /// One burger for anna.
    pub(crate) fn burger(&self) -> Value {
        json!({
            "customer_id": self.merchant.customers["anna"],
            "items": [{"product_id": self.merchant.products["burger"], "quantity": 1}],
        })
    }

    pub(crate) fn topic(&self, topic: &Topic) -> String {
        self.env.names().topic(topic)
    }

    /// How many records there are on both topics that order-ingest writes.
    pub(crate) async fn records(&self) -> i64 {
        let orders = self.env.ends(&self.topic(&ORDER_CREATED)).await;
        let adjustments = self.env.ends(&self.topic(&STOCK_ADJUSTED)).await;
        orders.iter().chain(&adjustments).sum()
    }

    /// The address without `http://`, for whoever speaks HTTP by hand.
    pub(crate) fn address(&self) -> &str {
        &self.base["http://".len()..]
    }

    /// A counter or gauge, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.context.metrics.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(0.0, |family| {
            family
                .get_metric()
                .iter()
                .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
                .sum()
        })
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap()
    };
    Answer { status, headers, body }
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &str {
        self.body["id"].as_str().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn seed(store: &Database, name: &str, key: &str, products: &[&str], customers: &[&str]) -> Seeded {
    let customer = |reference: &&str| NewCustomer {
        reference: (*reference).to_owned(),
        name: (*reference).to_owned(),
        email: (*reference == "anna").then(|| "anna@example.org".to_owned()),
    };
    let product = |reference: &&str| NewProduct {
        reference: (*reference).to_owned(),
        name: (*reference).to_owned(),
        price_minor: if *reference == "burger" { 1250 } else { 400 },
        recipe: vec![("onion".to_owned(), 20)],
    };
    let new = NewMerchant {
        reference: name.to_owned(),
        name: name.to_owned(),
        currency: "EUR".to_owned(),
        alert_recipients: vec!["owner@example.org".to_owned()],
        customers: customers.iter().map(customer).collect(),
        ingredients: vec![NewIngredient {
            reference: "onion".to_owned(),
            name: "Onion".to_owned(),
            unit: "g".to_owned(),
            full_level: 1000,
            threshold_pct: 50,
            on_hand: 1000,
        }],
        products: products.iter().map(product).collect(),
    };
    let seeded = seed::merchant(store, &new).await.unwrap();
    seed::add_api_key(store, seeded.merchant_id, key).await.unwrap();
    seeded
}
