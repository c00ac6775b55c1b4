//! Moments, as Postgres and as the events have them: both to the microsecond.

use schemas::events::Micros;
use time::OffsetDateTime;

/// A moment of Postgres as an event has it.
#[must_use]
pub fn micros(moment: OffsetDateTime) -> Micros {
    // Within i64 for every year that Postgres takes.
    Micros(i64::try_from(moment.unix_timestamp_nanos().div_euclid(1000)).unwrap_or(i64::MAX))
}
