//! A burger bar on real servers and a stock-processor that serves it.

use std::{collections::BTreeMap, time::Duration};

use domain::{
    amount::Minor,
    ids::{AdjustmentId, MerchantId, OrderId},
    money::Currency,
};
use schemas::events::{AdjustmentKind, Micros, OrderCreated, OrderLine, StockAdjusted};
use service::Context;
use stock_processor::{Args, RunError};
use store::seed::{self, NewCustomer, NewIngredient, NewMerchant, NewProduct, Seeded};
use testkit::{Env, wait_until};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A merchant who sells burgers (150 g beef, 30 g cheese, 20 g onion) and cheese toasts (60 g cheese).
pub(crate) struct Bar {
    pub(crate) env: Env,
    pub(crate) merchant: Seeded,
}

/// A running stock-processor.
pub(crate) struct Running {
    pub(crate) context: Context,
    task: JoinHandle<Result<(), RunError>>,
}

impl Bar {
    pub(crate) async fn open() -> Self {
        let env = Env::fresh().await;
        let merchant = seed::merchant(&env.store, &bar("bar")).await.unwrap();
        Self { env, merchant }
    }

    pub(crate) async fn serve(&self) -> Running {
        self.serve_with(Args::default()).await
    }

    pub(crate) async fn serve_with(&self, args: Args) -> Running {
        let context = Context::default();
        let config = args.into_config(
            self.env.kafka.clone(),
            self.env.registry.clone(),
            self.env.database.clone(),
        );
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
        let price = Minor::new(950).unwrap();
        let line = |(product, quantity): &(&str, i32)| OrderLine {
            product_id: self.merchant.products[*product],
            quantity: *quantity,
            unit_price_minor: price,
        };
        let count: i32 = lines.iter().map(|(_, quantity)| quantity).sum();
        OrderCreated {
            order_id,
            merchant_id: self.id(),
            customer_id: self.merchant.customers["ana"],
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
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

fn bar(reference: &str) -> NewMerchant {
    let ingredient = |reference: &str, full_level| NewIngredient {
        reference: reference.to_owned(),
        name: reference.to_owned(),
        unit: "g".to_owned(),
        full_level,
        threshold_pct: 50,
        on_hand: full_level,
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
