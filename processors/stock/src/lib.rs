//! The stock-processor: takes the ingredients of every order from stock, once, and says what became of it.
//!
//! Records flow one way:
//!
//! ```text
//! poll (own thread) ─▶ inbox ─▶ worker: decide, one transaction a batch ─▶ publish ─▶ offsets back to poll
//! ```
//!
//! A *shard* is one partition number of every topic read here; it has one owner and one row in Postgres, which is
//! the only truth about what has been applied ([`assignment`] starts from it, [`worker`] compares and sets it). Shards
//! are spread over workers; each worker has one connection to Postgres and one transaction at a time.
//!
//! What is not here: the rules (`domain`), the statements (`store`), the way on and off a topic (`stream`).
//!
//! To read one more topic: add it to [`source::Source`], its columns to the shard row, its event to [`item`] and its
//! decision to [`decide`].

mod app;
mod apply;
mod assignment;
mod config;
mod consumer;
mod decide;
mod duplicates;
mod inbox;
mod item;
mod metrics;
mod outbox;
mod packed;
mod poll;
mod publish;
mod replay;
mod resolve;
mod resume;
mod rows;
mod shard;
mod source;
mod told;
mod watchdog;
mod worker;

pub use app::{App, BuildError, RunError, build};
pub use config::{Args, Config};
pub use resume::{Accept, ResumeError, resume};
