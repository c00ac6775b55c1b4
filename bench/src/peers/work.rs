//! What every peer gets: a backlog on `order_created`, the catalogue in files, topics and a database of its own.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use schemas::{
    Topic,
    topics::{NOTIFY, ORDER_CONFIRMED, ORDER_CREATED, STOCK_REJECTED},
};
use sqlx::AssertSqlSafe;
use testkit::Env;
use url::Url;
use uuid::Uuid;

use crate::{backlog, load::Load, peers::build::Built};

/// Orders to be done, by whom ever.
pub(crate) struct Work {
    pub(crate) env: Env,
    pub(crate) orders: u64,
    pub(crate) partitions: i32,
    /// No order has a lower id.
    pub(crate) since: Uuid,
    /// Where the catalogue's files are.
    pub(crate) catalogue: PathBuf,
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stock {
    /// Enough for every order.
    Plenty,
    /// So much of each ingredient, which is also its full level.
    Of(i64),
}

const INGREDIENTS: &str =
    "SELECT string_agg(concat_ws(E'\\t', merchant_id, m.name, array_to_string(alert_recipients, ','),
        ingredient_id, i.name, unit, on_hand, full_level, threshold_pct), E'\\n' ORDER BY merchant_id, ingredient_id)
    FROM merchants m JOIN ingredients i USING (merchant_id) JOIN stock USING (merchant_id, ingredient_id)";
const RECIPES: &str = "SELECT string_agg(concat_ws(E'\\t', merchant_id, product_id, ingredient_id, amount),
        E'\\n' ORDER BY merchant_id, product_id, ingredient_id)
    FROM recipe_lines";
const PRODUCTS: &str = "SELECT string_agg(concat_ws(E'\\t', merchant_id, product_id, price_minor, currency),
        E'\\n' ORDER BY merchant_id, product_id)
    FROM products JOIN merchants USING (merchant_id)";

impl Work {
    /// Writes the backlog of the drain's bench, of so many orders and merchants.
    pub(crate) async fn new(load: &Load, built: &Built, orders: u64, merchants: i64, stock: Stock) -> Result<Self> {
        let env = Env::with_partitions(load.partitions).await;
        let since = Uuid::now_v7();
        let catalogue = backlog::catalogue(&env, merchants).await?;
        if let Stock::Of(level) = stock {
            for update in [
                "UPDATE ingredients SET full_level = $1",
                "UPDATE shelves SET on_hand = array_fill($1, ARRAY[cardinality(on_hand)])",
            ] {
                sqlx::query(update).bind(level).execute(env.store.pool()).await?;
            }
        }
        backlog::write(&env, &catalogue, orders, load.seed).await?;
        let folder = built.scratch(&format!("catalogue-{}", env.names().prefix))?;
        for (file, query) in [
            ("ingredients.tsv", INGREDIENTS),
            ("recipes.tsv", RECIPES),
            ("products.tsv", PRODUCTS),
        ] {
            let rows: String = sqlx::query_scalar(query).fetch_one(env.store.pool()).await?;
            fs::write(folder.join(file), rows + "\n")?;
        }
        Ok(Self {
            env,
            orders,
            partitions: load.partitions,
            since,
            catalogue: folder,
        })
    }

    /// The topics that a run writes, by the prefix of its names.
    pub(crate) fn topics(&self, run: &str) -> [String; 3] {
        let name = |topic: &Topic| format!("{}{}", self.prefix(run), topic.name);
        [name(&ORDER_CONFIRMED), name(&STOCK_REJECTED), name(&NOTIFY)]
    }

    /// What the names of a run's topics begin with.
    pub(crate) fn prefix(&self, run: &str) -> String {
        format!("{}{run}.", self.env.names().prefix)
    }

    /// Creates topics of this name.
    pub(crate) async fn create_topics(&self, names: &[String]) -> Result<()> {
        let topics: Vec<NewTopic<'_>> = names
            .iter()
            .map(|name| NewTopic::new(name, self.partitions, TopicReplication::Fixed(1)))
            .collect();
        for created in self.admin()?.create_topics(&topics, &waiting()).await? {
            created.map_err(|(topic, code)| anyhow::anyhow!("kafka refuses topic {topic}: {code}"))?;
        }
        // It answers before every partition has its leader.
        for name in names {
            while self.env.ends(name).await.len() != usize::try_from(self.partitions)? {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Deletes them, and whatever else begins like them.
    pub(crate) async fn delete_topics(&self, run: &str) -> Result<()> {
        let (admin, prefix) = (self.admin()?, self.prefix(run));
        let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(30))?;
        let names: Vec<&str> = metadata
            .topics()
            .iter()
            .map(rdkafka::metadata::MetadataTopic::name)
            .filter(|name| name.starts_with(&prefix))
            .collect();
        admin.delete_topics(&names, &waiting()).await?;
        Ok(())
    }

    /// What every peer finds in its environment.
    pub(crate) async fn variables(&self, run: &str) -> Result<Vec<(&'static str, String)>> {
        let registry = self.env.schemas();
        let mut variables = vec![
            ("KAFKA_BOOTSTRAP_SERVERS", self.env.kafka.bootstrap_servers.clone()),
            ("PEER_ORDERS_TOPIC", self.env.names().topic(&ORDER_CREATED)),
            ("PEER_OUT_PREFIX", self.prefix(run)),
            ("PEER_ORDERS", self.orders.to_string()),
            ("PEER_CATALOGUE", self.catalogue.display().to_string()),
        ];
        for (variable, topic) in [
            ("PEER_SCHEMA_CREATED", &ORDER_CREATED),
            ("PEER_SCHEMA_CONFIRMED", &ORDER_CONFIRMED),
            ("PEER_SCHEMA_REJECTED", &STOCK_REJECTED),
            ("PEER_SCHEMA_NOTIFY", &NOTIFY),
        ] {
            variables.push((variable, registry.id_of(topic).await?.to_string()));
        }
        Ok(variables)
    }

    /// Drops the database and the catalogue's files.
    pub(crate) async fn end(self) -> Result<()> {
        fs::remove_dir_all(&self.catalogue)?;
        self.env.drop_database().await;
        Ok(())
    }

    fn admin(&self) -> Result<AdminClient<rdkafka::client::DefaultClientContext>> {
        Ok(self.env.kafka.client().create()?)
    }
}

fn waiting() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)))
}

/// A database of a peer's own.
pub(crate) struct PeerDatabase {
    url: Url,
    pub(crate) pool: sqlx::PgPool,
}

impl PeerDatabase {
    pub(crate) async fn new() -> Result<Self> {
        let url = Url::parse(&testkit::empty_database().await)?;
        let pool = sqlx::PgPool::connect(url.as_str()).await?;
        Ok(Self { url, pool })
    }

    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// As Java's driver wants it.
    pub(crate) fn jdbc(&self) -> Result<String> {
        let host = self.url.host_str().context("a database without a host")?;
        let port = self.url.port().unwrap_or(5432);
        let mut url = format!(
            "jdbc:postgresql://{host}:{port}{}?user={}",
            self.url.path(),
            self.url.username()
        );
        if let Some(password) = self.url.password() {
            url.extend(["&password=", password]);
        }
        Ok(url)
    }

    pub(crate) async fn drop(self, work: &Work) -> Result<()> {
        self.pool.close().await;
        let name = self.url.path().trim_start_matches('/');
        // A database name cannot be a parameter; this one is ours and has letters and digits alone.
        let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        sqlx::query(drop).execute(work.env.store.pool()).await?;
        Ok(())
    }
}
