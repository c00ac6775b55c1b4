//! Numbers as they are reported.

use std::time::Duration;

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "a count needs no more than 52 bits")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// How many that were a second, to one.
pub(crate) fn per_second(count: u64, over: Duration) -> f64 {
    rounded(float(count) / over.as_secs_f64(), 0)
}

/// Milliseconds, to the microsecond.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1e3, 3)
}

/// With so many digits behind the point.
pub(crate) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
