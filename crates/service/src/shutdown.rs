//! Stopping in two stages: first everyone is asked and given time, then the rest is cut off.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How long a stop may take where nothing else is said.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// The request to stop, shared by everything in the process.
#[derive(Clone, Debug)]
pub struct Shutdown {
    token: CancellationToken,
    grace: Duration,
}

impl Shutdown {
    /// Not requested yet; once it is, everyone has so long.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self {
            token: CancellationToken::new(),
            grace,
        }
    }

    /// Asks everyone to stop.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// Whether everyone was asked to stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until everyone is asked to stop.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// How long a stop may take.
    #[must_use]
    pub const fn grace(&self) -> Duration {
        self.grace
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new(DEFAULT_GRACE)
    }
}
