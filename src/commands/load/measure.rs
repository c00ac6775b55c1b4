//! Counts and latencies.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

/// What came of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// The server answered.
    Status(u16),
    /// It did not.
    NoAnswer,
}

/// What came of many orders.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    outcomes: BTreeMap<Outcome, u64>,
    /// How many took how long; each step is two percent longer than the one before.
    latencies: BTreeMap<u32, u64>,
}

const STEP: f64 = 1.02;

impl Measured {
    pub(super) fn add(&mut self, outcome: Outcome, latency: Duration) {
        *self.outcomes.entry(outcome).or_default() += 1;
        *self.latencies.entry(step(latency)).or_default() += 1;
    }

    /// What came since an earlier look at the same orders.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        fn rest<K: Ord + Copy>(now: &BTreeMap<K, u64>, earlier: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
            let rest = now
                .iter()
                .map(|(key, count)| (*key, count - earlier.get(key).unwrap_or(&0)));
            rest.filter(|(_, count)| *count > 0).collect()
        }
        Self {
            outcomes: rest(&self.outcomes, &earlier.outcomes),
            latencies: rest(&self.latencies, &earlier.latencies),
        }
    }

    /// How many orders were accepted.
    pub(super) fn acked(&self) -> u64 {
        self.outcomes.get(&Outcome::Status(202)).copied().unwrap_or_default()
    }

    /// One line for people.
    pub(super) fn line(&self, over: Duration) -> String {
        let sent: u64 = self.outcomes.values().sum();
        let rate = super::to_f64(self.acked()) / over.as_secs_f64().max(f64::EPSILON);
        let mut line = format!(
            "sent {sent}, acked {} ({rate:.0}/s), p50 {:.1?}, p99 {:.1?}",
            self.acked(),
            self.quantile(50),
            self.quantile(99)
        );
        for (outcome, count) in &self.outcomes {
            // Writing to a string does not fail.
            let _ = match outcome {
                Outcome::Status(202) => Ok(()),
                Outcome::Status(status) => write!(line, ", {count} × {status}"),
                Outcome::NoAnswer => write!(line, ", {count} without an answer"),
            };
        }
        line
    }

    /// What so many percent stayed within.
    fn quantile(&self, percent: u64) -> Duration {
        let all: u64 = self.latencies.values().sum();
        let mut seen = 0;
        for (step, count) in &self.latencies {
            seen += count;
            if seen * 100 >= all * percent {
                return Duration::from_secs_f64(STEP.powf(f64::from(*step)) / 1e6);
            }
        }
        Duration::ZERO
    }
}

/// The step that a latency falls on, from a microsecond up.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a logarithm of something from 1 up"
)]
fn step(latency: Duration) -> u32 {
    (latency.as_secs_f64() * 1e6).max(1.0).log(STEP).ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_right_within_two_percent() {
        let mut measured = Measured::default();
        for milliseconds in 1..=100 {
            measured.add(Outcome::Status(202), Duration::from_millis(milliseconds));
        }
        for (percent, expected) in [(50, 50.0), (99, 99.0), (100, 100.0)] {
            let found = measured.quantile(percent).as_secs_f64() * 1000.0;
            assert!((expected..expected * 1.021).contains(&found), "{percent}: {found}");
        }
    }

    #[test]
    fn a_line_names_what_failed_and_how_often() {
        let mut measured = Measured::default();
        measured.add(Outcome::Status(202), Duration::from_millis(1));
        let before = measured.clone();
        measured.add(Outcome::Status(503), Duration::from_millis(1));
        measured.add(Outcome::NoAnswer, Duration::from_millis(1));
        let line = measured.since(&before).line(Duration::from_secs(1));
        assert!(line.starts_with("sent 2, acked 0 (0/s)"), "{line}");
        assert!(line.ends_with(", 1 × 503, 1 without an answer"), "{line}");
    }
}
