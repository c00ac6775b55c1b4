//! A burger bar on real servers and a stock-processor that serves it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use domain::{
    amount::Minor,
    ids::{AdjustmentId, MerchantId, OrderId},
    money::Currency,
};
use schemas::{
    Topic,
    events::{AdjustmentKind, Micros, OrderCreated, OrderLine, StockAdjusted},
};
use service::Context;
use stock_processor::{Args, RunError};
use store::{
    DatabaseConfig,
    seed::{self, NewCustomer, NewIngredient, NewMerchant, NewProduct, Seeded},
};
use stream::Record;
use testkit::{Env, wait_for, wait_until};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// As many partitions as every topic has here.
const PARTITIONS: i32 = 3;

/// A merchant who sells burgers (150 g beef, 30 g cheese, 20 g onion) and cheese toasts (60 g cheese).
pub(crate) struct Bar {
    pub(crate) env: Env,
    pub(crate) merchant: Seeded,
    /// More of the kind.
    pub(crate) others: Vec<Seeded>,
}

/// A running stock-processor.
pub(crate) struct Running {
    pub(crate) context: Context,
    task: JoinHandle<Result<(), RunError>>,
}

pub(crate) fn shard_of(merchant: &Seeded) -> i32 {
    stream::partition::partition(merchant.merchant_id.to_string().as_bytes(), PARTITIONS)
}

impl Bar {
    pub(crate) async fn open() -> Self {
        Self::chain(1, 1).await
    }

    /// So many bars, each with so many times the usual stock. Three have a shard each.
    pub(crate) async fn chain(bars: usize, times: i64) -> Self {
        let env = Env::with_partitions(PARTITIONS).await;
        let mut all = Vec::new();
        let mut shards = BTreeSet::new();
        while all.len() < bars {
            let name = format!("bar-{}", Uuid::new_v4());
            let merchant = seed::merchant(&env.store, &bar(&name, times)).await.unwrap();
            let is_new = shards.insert(shard_of(&merchant));
            if is_new || shards.len() == 3 {
                all.push(merchant);
            }
        }
        let merchant = all.remove(0);
        Self {
            env,
            merchant,
            others: all,
        }
    }

    /// Every bar.
    pub(crate) fn merchants(&self) -> impl Iterator<Item = &Seeded> + Clone {
        std::iter::once(&self.merchant).chain(&self.others)
    }

    pub(crate) fn shard(&self) -> i32 {
        shard_of(&self.merchant)
    }

    pub(crate) async fn serve(&self) -> Running {
        self.serve_with(Args::default()).await
    }

    pub(crate) async fn serve_with(&self, args: Args) -> Running {
        self.serve_on(args, self.env.database.clone()).await
    }

    /// With another way to the same database.
    pub(crate) async fn serve_on(&self, args: Args, database: DatabaseConfig) -> Running {
        let context = Context::default();
        let config = args.into_config(self.env.kafka.clone(), self.env.registry.clone(), database);
        let app = stock_processor::build(config, &context).await.unwrap();
        let task = tokio::spawn(app.run());
        wait_until("the stock-processor to be ready", PATIENCE, async || {
            context.health.is_ready()
        })
        .await;
        Running { context, task }
    }

    pub(crate) fn order(&self, lines: &[(&str, i32)]) -> OrderCreated {
        self.order_named(OrderId::new(Uuid::now_v7()), lines)
    }

    pub(crate) fn order_named(&self, order_id: OrderId, lines: &[(&str, i32)]) -> OrderCreated {
        Self::order_at(&self.merchant, order_id, lines)
    }

    pub(crate) fn order_at(merchant: &Seeded, order_id: OrderId, lines: &[(&str, i32)]) -> OrderCreated {
        let price = Minor::new(950).unwrap();
        let line = |(product, quantity): &(&str, i32)| OrderLine {
            product_id: merchant.products[*product],
            quantity: *quantity,
            unit_price_minor: price,
        };
        let count: i32 = lines.iter().map(|(_, quantity)| quantity).sum();
        OrderCreated {
            order_id,
            merchant_id: merchant.merchant_id,
            customer_id: merchant.customers["ana"],
            customer_email: Some("ana@example.org".to_owned()),
            currency: Currency::parse("EUR").unwrap(),
            lines: lines.iter().map(line).collect(),
            total_minor: price.times(i64::from(count)).unwrap(),
            placed_at: Micros(1_763_600_000_123_456),
            request_hash: None,
        }
    }

    pub(crate) async fn place(&self, order: &OrderCreated) -> (i32, i64) {
        self.env.publish(order, &order.order_id.to_string()).await
    }

    /// So many orders of one burger, one bar after another.
    pub(crate) fn burgers(&self, count: usize) -> Vec<OrderCreated> {
        let bars = self.merchants().cycle().take(count);
        bars.map(|bar| Self::order_at(bar, OrderId::new(Uuid::now_v7()), &[("burger", 1)]))
            .collect()
    }

    pub(crate) async fn place_all(&self, orders: &[OrderCreated]) {
        let named: Vec<_> = orders
            .iter()
            .map(|order| (order.clone(), order.order_id.to_string()))
            .collect();
        self.env.publish_all(&named).await;
    }

    /// Waits until this order is decided.
    pub(crate) async fn wait_for_row(&self, order: &OrderCreated) -> store::orders::Order {
        wait_for("the order to be decided", PATIENCE, async || self.row(order).await).await
    }

    pub(crate) async fn row(&self, order: &OrderCreated) -> Option<store::orders::Order> {
        store::orders::find(&self.env.store, order.merchant_id, order.order_id)
            .await
            .unwrap()
    }

    /// Waits until so many orders are decided.
    pub(crate) async fn wait_for_rows(&self, count: i64) {
        wait_until("the orders to be decided", PATIENCE, async || {
            self.statuses().await.values().sum::<i64>() >= count
        })
        .await;
    }

    /// Changes rows behind everybody's back.
    pub(crate) async fn sql(&self, statement: &'static str) {
        sqlx::query(statement).execute(self.env.store.pool()).await.unwrap();
    }

    /// What was put aside of a topic.
    pub(crate) async fn wait_for_dead_letters(&self, topic: &Topic, count: usize) -> Vec<Record> {
        let name = self.env.names().dead_letters(topic, schemas::topics::STOCK_GROUP);
        self.env.wait_for_records(&name, count, PATIENCE).await
    }

    pub(crate) async fn adjust(&self, kind: AdjustmentKind, ingredient: &str, number: i64) -> StockAdjusted {
        let event = StockAdjusted {
            adjustment_id: AdjustmentId::new(Uuid::now_v7()),
            merchant_id: self.id(),
            ingredient_id: self.merchant.ingredients[ingredient],
            kind,
            amount: (kind != AdjustmentKind::Recount).then_some(number),
            level: (kind == AdjustmentKind::Recount).then_some(number),
            reason: "test".to_owned(),
            adjusted_at: Micros(1_763_600_000_123_456),
        };
        self.env.publish(&event, &event.adjustment_id.to_string()).await;
        event
    }

    pub(crate) fn id(&self) -> MerchantId {
        self.merchant.merchant_id
    }

    /// What lies on the shelf, by ingredient.
    pub(crate) async fn levels(&self) -> BTreeMap<String, i64> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT i.reference, s.on_hand FROM stock s JOIN ingredients i USING (merchant_id, ingredient_id)
             WHERE merchant_id = $1",
        )
        .bind(self.id().get())
        .fetch_all(self.env.store.pool())
        .await
        .unwrap();
        rows.into_iter().collect()
    }

    /// How many orders have which status.
    pub(crate) async fn statuses(&self) -> BTreeMap<String, i64> {
        let rows: Vec<(String, i64)> = sqlx::query_as("SELECT status, count(*) FROM orders GROUP BY status")
            .fetch_all(self.env.store.pool())
            .await
            .unwrap();
        rows.into_iter().collect()
    }
}

impl Running {
    /// Asks it to stop and returns when it has.
    pub(crate) async fn close(self) {
        self.context.shutdown.request();
        self.task.await.unwrap().unwrap();
    }

    /// Cuts it off as it stands: nothing is finished, nothing said.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
    }

    /// What `/metrics` shows on this line; nothing counts as 0.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&self.context.metrics.gather())
            .unwrap();
        let value = text
            .lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(crate) async fn wait_for_metric(&self, line: &str, value: f64) {
        wait_until(line, PATIENCE, async || self.metric(line) >= value).await;
    }
}

fn bar(reference: &str, times: i64) -> NewMerchant {
    let ingredient = |reference: &str, full_level| NewIngredient {
        reference: reference.to_owned(),
        name: reference.to_owned(),
        unit: "g".to_owned(),
        full_level,
        threshold_pct: 50,
        on_hand: full_level * times,
    };
    let product = |reference: &str, recipe: &[(&str, i64)]| NewProduct {
        reference: reference.to_owned(),
        name: reference.to_owned(),
        price_minor: 950,
        recipe: recipe
            .iter()
            .map(|(name, amount)| ((*name).to_owned(), *amount))
            .collect(),
    };
    NewMerchant {
        reference: reference.to_owned(),
        name: "The Bar".to_owned(),
        currency: "EUR".to_owned(),
        alert_recipients: vec!["kitchen@bar.example".to_owned()],
        customers: vec![NewCustomer {
            reference: "ana".to_owned(),
            name: "Ana".to_owned(),
            email: Some("ana@example.org".to_owned()),
        }],
        ingredients: vec![
            ingredient("beef", 20_000),
            ingredient("cheese", 5000),
            ingredient("onion", 1000),
        ],
        products: vec![
            product("burger", &[("beef", 150), ("cheese", 30), ("onion", 20)]),
            product("toast", &[("cheese", 60)]),
        ],
    }
}
