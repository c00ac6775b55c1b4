//! How Postgres is reached.

use std::{str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};

use crate::error::StoreError;

/// Where Postgres is and how many connections may be held.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `postgres://user:password@host:port/database`; a socket folder as `?host=/path`.
    pub url: SecretString,
    /// The most connections the pool opens.
    pub max_connections: u32,
}

/// A pool of connections.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    options: PgConnectOptions,
}

impl Database {
    /// Opens the pool and one connection, so that a wrong address shows at once.
    pub async fn connect(config: &DatabaseConfig) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(config.url.expose_secret())?.application_name("larder");
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options.clone())
            .await?;
        Ok(Self { pool, options })
    }

    /// The pool.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection of one's own, outside the pool: for whoever keeps one for good.
    pub async fn connection(&self) -> Result<PgConnection, StoreError> {
        use sqlx::ConnectOptions as _;
        let mut connection = self.options.connect().await?;
        // A server that does not notice that its client is gone would keep what an unfinished transaction has locked.
        sqlx::query("SET idle_in_transaction_session_timeout = '30s'")
            .execute(&mut connection)
            .await?;
        Ok(connection)
    }
}
