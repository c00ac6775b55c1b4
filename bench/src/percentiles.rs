//! Latencies as percentiles.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::figure::rounded;

/// In milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

impl Percentiles {
    /// Of all these, right to three digits.
    pub(crate) fn of(latencies: impl IntoIterator<Item = Duration>) -> Result<Self> {
        let mut histogram = Histogram::<u64>::new(3)?;
        for latency in latencies {
            histogram.record(u64::try_from(latency.as_micros())?)?;
        }
        #[expect(clippy::cast_precision_loss, reason = "microseconds of less than a century")]
        let milliseconds = |micros: u64| rounded(micros as f64 / 1e3, 3);
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        Ok(Self {
            count: histogram.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: milliseconds(histogram.max()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_that_was_measured() {
        let found = Percentiles::of((1..=1000).map(Duration::from_millis)).unwrap();
        for (found, expected) in [
            (found.p50_ms, 500.0),
            (found.p99_ms, 990.0),
            (found.p999_ms, 999.0),
            (found.max_ms, 1000.0),
        ] {
            assert!(
                (found - expected).abs() / expected < 0.002,
                "{found} instead of {expected}"
            );
        }
        assert_eq!(found.count, 1000);
    }
}
