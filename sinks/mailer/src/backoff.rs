//! When a mail is tried again: exponential back-off with full jitter, so that a mail server that was away is not met
//! by everything at once.

use std::time::Duration;

/// How long the waits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first wait; it doubles with every attempt.
    pub base: Duration,
    /// No wait is longer.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after an attempt (counted from 1); `pick` chooses from 0 to the longest wait, in milliseconds.
    pub fn after(self, attempt: i32, pick: impl FnOnce(u64) -> u64) -> Duration {
        let doublings = u32::try_from(attempt.max(1) - 1).unwrap_or(0).min(31);
        let longest = self.base.saturating_mul(1 << doublings).min(self.cap);
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(pick(longest).min(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(5),
        cap: Duration::from_hours(1),
    };

    #[test]
    fn the_longest_wait_doubles_up_to_the_cap() {
        let seconds: Vec<_> = (1..=12)
            .map(|attempt| BACKOFF.after(attempt, |longest| longest).as_secs())
            .collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
        assert_eq!(BACKOFF.after(i32::MAX, |longest| longest), BACKOFF.cap);
    }

    #[test]
    fn jitter_is_full() {
        assert_eq!(BACKOFF.after(3, |_| 0), Duration::ZERO);
        assert_eq!(BACKOFF.after(3, |_| u64::MAX), Duration::from_secs(20));
    }
}
