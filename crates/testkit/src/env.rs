//! A corner of the servers for one test.

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use store::{Database, DatabaseConfig};
use stream::{
    KafkaConfig, Names, Registry, RegistryConfig,
    subjects::Subjects,
    topics::{self, Shape},
};
use url::Url;
use uuid::Uuid;

use crate::servers::servers;

/// Topics, groups, subjects and a database that no other test touches. They stay where they are afterwards: the
/// servers are thrown away, and until then what a failed test left can be looked at.
pub struct Env {
    /// Where Kafka is; its names carry this test's prefix.
    pub kafka: KafkaConfig,
    /// Where the registry is.
    pub registry: RegistryConfig,
    /// Where this test's database is.
    pub database: DatabaseConfig,
    /// A pool into it.
    pub store: Database,
}

impl Env {
    /// An empty corner: migrated database, every topic with three partitions, every schema registered.
    pub async fn fresh() -> Self {
        Self::with_partitions(3).await
    }

    /// The same with another number of partitions.
    pub async fn with_partitions(partitions: i32) -> Self {
        install_crypto_provider();
        let servers = servers();
        let names = Names {
            prefix: format!("t{}.", &unique()[..8]),
        };
        eprintln!("this test's names begin with {}", names.prefix);
        let kafka = KafkaConfig {
            bootstrap_servers: servers.kafka,
            names: names.clone(),
            ..KafkaConfig::default()
        };
        let registry = RegistryConfig {
            url: servers.registry,
            basic_auth: None,
        };
        let shape = Shape {
            partitions,
            replication: 1,
        };
        let subjects = Subjects::new(&registry, names).unwrap();
        let (topics, registered, database) =
            tokio::join!(topics::apply(&kafka, shape), subjects.register(), database());
        topics.unwrap();
        registered.unwrap();
        let store = Database::connect(&database).await.unwrap();
        Self {
            kafka,
            registry,
            database,
            store,
        }
    }

    /// Drops the database, so that its vacuum does not take the time of what is measured next.
    pub async fn drop_database(self) {
        self.store.pool().close().await;
        let url = Url::parse(self.database.url.expose_secret()).unwrap();
        let mut server = PgConnection::connect(&servers().database_url).await.unwrap();
        // A database name cannot be a parameter; this one is ours and has letters and digits alone.
        let drop = AssertSqlSafe(format!(
            "DROP DATABASE {} WITH (FORCE)",
            url.path().trim_start_matches('/')
        ));
        sqlx::query(drop).execute(&mut server).await.unwrap();
        server.close().await.unwrap();
    }

    /// What topics and groups are called here.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.kafka.names
    }

    /// The way to the registry.
    #[must_use]
    pub fn schemas(&self) -> Registry {
        Registry::new(&self.registry, self.names().clone()).unwrap()
    }

    /// A number that no interface tells: a query that gives one row of one `bigint`.
    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.store.pool()).await.unwrap()
    }

    /// What a process needs in its environment to work in this corner.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("KAFKA_BOOTSTRAP_SERVERS", self.kafka.bootstrap_servers.clone()),
            ("SCHEMA_REGISTRY_URL", self.registry.url.clone()),
            ("DATABASE_URL", self.database.url.expose_secret().to_owned()),
            ("LARDER_TOPIC_PREFIX", self.names().prefix.clone()),
        ]
    }
}

/// A new database with all migrations.
pub async fn database() -> DatabaseConfig {
    let url = empty_database().await;
    let config = DatabaseConfig {
        url: SecretString::from(url),
        max_connections: 5,
    };
    let database = Database::connect(&config).await.unwrap();
    store::migrate::run(&database).await.unwrap();
    database.pool().close().await;
    config
}

/// Where a new database is that has nothing in it.
pub async fn empty_database() -> String {
    install_crypto_provider();
    let name = format!("larder_test_{}", unique());
    let mut url = Url::parse(&servers().database_url).unwrap();
    let mut server = PgConnection::connect(url.as_str()).await.unwrap();
    // A database name cannot be a parameter; this one is ours and has letters and digits alone.
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut server).await.unwrap();
    server.close().await.unwrap();
    url.set_path(&name);
    url.into()
}

fn unique() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Tests have no `main` to do it in; whoever comes second finds it done.
fn install_crypto_provider() {
    drop(rustls::crypto::ring::default_provider().install_default());
}
