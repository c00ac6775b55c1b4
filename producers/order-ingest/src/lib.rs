//! order-ingest: HTTP in, `order_created` and `stock_adjusted` out.
//!
//! What is here: who asks ([`auth`]), what a merchant sells ([`catalogue`], cached), whether a request makes sense
//! ([`order_request`], [`fields`]), putting it on its topic ([`place`]), and reading orders, stock and adjustments
//! back from Postgres ([`read`]). Every error is a [`problem`].
//!
//! What is not: whether there is enough in stock. That is decided in the log's order by the stock-processor.
//!
//! A request is answered `202` only when every in-sync replica holds its event. To add a route: a handler that
//! returns `Result<Response, Problem>`, and its line in [`app`]; request ids, metrics and limits are [`edge`]'s.

mod adjustments;
pub mod app;
mod auth;
mod body;
mod catalogue;
pub mod config;
mod edge;
mod fields;
mod metrics;
mod order_request;
mod orders;
mod place;
pub mod problem;
mod read;
mod recent;
mod replay;
mod server;
mod trace;
mod view;

pub use app::{App, BuildError, build, build_onto};
pub use config::{Config, IngestArgs, Limits};
pub use place::Outlet;
