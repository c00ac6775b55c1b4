//! The schema's version: forward only, applied by `larder migrate`, checked by every service before it starts.

use std::collections::BTreeSet;

use sqlx::migrate::Migrator;

use crate::{database::Database, error::StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The tables are not those this program was built for.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Something is still to be applied.
    #[error("the database lacks migrations {missing:?}: run `larder migrate`")]
    Behind {
        /// The versions that are not applied.
        missing: Vec<i64>,
    },
    /// A newer program has been here.
    #[error("the database has migrations {unknown:?} that this program does not know: deploy a newer larder")]
    Unknown {
        /// The versions this program does not have.
        unknown: Vec<i64>,
    },
    /// Applying failed.
    #[error("cannot migrate: {0}")]
    Failed(String),
}

/// Applies what is missing and returns its versions.
pub async fn run(database: &Database) -> Result<Vec<i64>, StoreError> {
    let before = applied(database).await?;
    MIGRATIONS
        .run(database.pool())
        .await
        .map_err(|error| SchemaError::Failed(error.to_string()))?;
    Ok(known().difference(&before).copied().collect())
}

/// Whether the database has exactly the migrations of this program.
pub async fn check(database: &Database) -> Result<(), StoreError> {
    let applied = applied(database).await?;
    let known = known();
    let unknown: Vec<i64> = applied.difference(&known).copied().collect();
    let missing: Vec<i64> = known.difference(&applied).copied().collect();
    if !unknown.is_empty() {
        return Err(SchemaError::Unknown { unknown }.into());
    }
    if !missing.is_empty() {
        return Err(SchemaError::Behind { missing }.into());
    }
    Ok(())
}

fn known() -> BTreeSet<i64> {
    MIGRATIONS.iter().map(|migration| migration.version).collect()
}

async fn applied(database: &Database) -> Result<BTreeSet<i64>, StoreError> {
    // Not a checked query: the table is the migrator's and not there before its first run.
    let there: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(database.pool())
        .await?;
    if !there {
        return Ok(BTreeSet::new());
    }
    let versions: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
        .fetch_all(database.pool())
        .await?;
    Ok(versions.into_iter().collect())
}
