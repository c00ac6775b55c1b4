//! What every service of Larder shares: configuration from flags and environment, logs, metrics, health, an admin
//! port, and a start and a stop that are the same everywhere.
//!
//! What is not here: anything that only one service needs, and how Kafka (`stream`) or Postgres (`store`) are used.
//!
//! A service crate has a plain `Config`, a `build(config, &Context)` that connects and binds, and an `App` whose
//! `run` serves until [`Shutdown`] says stop. To add one: write these three and hand `run` to [`run()`] as a [`Task`].

pub mod admin;
pub mod config;
pub mod context;
pub mod health;
pub mod metrics;
pub mod run;
pub mod secret;
pub mod shutdown;
pub mod telemetry;
pub mod tls;

pub use admin::Admin;
pub use context::Context;
pub use health::Health;
pub use run::{Task, block_on, run};
pub use secret::Secret;
pub use shutdown::Shutdown;
