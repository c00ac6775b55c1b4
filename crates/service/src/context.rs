//! What a service is given when it is built.

use prometheus::Registry;

use crate::{health::Health, metrics, shutdown::Shutdown};

/// The process around a service. Clones are the same process.
#[derive(Clone)]
pub struct Context {
    /// When to stop.
    pub shutdown: Shutdown,
    /// What `/metrics` shows.
    pub metrics: Registry,
    /// What `/readyz` shows.
    pub health: Health,
}

impl Context {
    /// A process that runs until `shutdown` says stop.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            shutdown,
            metrics: metrics::registry(),
            health: Health::default(),
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new(Shutdown::default())
    }
}
