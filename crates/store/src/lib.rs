//! Postgres: every table, every statement, nothing of what they mean.
//!
//! A module holds the statements of one subject and the plain types they take and give. Rules are in `domain`; who
//! may write what is said where the table is created (`migrations/`).
//!
//! To add a subject: a migration, a module here, a fresh-database test beside it, and `cargo xtask sqlx`.

pub mod alerts;
pub mod batch;
pub mod catalogue;
mod copy;
pub mod database;
pub mod error;
pub mod longs;
pub mod mail;
pub mod migrate;
pub mod moment;
pub mod movements;
mod order_rows;
pub mod orders;
pub mod outcomes;
pub mod pantries;
pub mod seed;
pub mod shards;
pub mod shelves;
pub mod stock_levels;

pub use database::{Database, DatabaseConfig};
pub use error::StoreError;
