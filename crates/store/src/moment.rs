//! Moments, as Postgres and as the events have them: both to the microsecond.

use schemas::events::Micros;
use time::OffsetDateTime;

use crate::error::StoreError;

/// A moment of Postgres as an event has it.
#[must_use]
pub fn micros(moment: OffsetDateTime) -> Micros {
    // Within i64 for every year that Postgres takes.
    Micros(i64::try_from(moment.unix_timestamp_nanos().div_euclid(1000)).unwrap_or(i64::MAX))
}

/// A moment of an event as Postgres has it; refused where it is beyond the years there are.
pub fn of(Micros(micros): Micros) -> Result<OffsetDateTime, StoreError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).map_err(|error| StoreError::Refused {
        code: "22008".to_owned(),
        message: format!("{micros} microseconds is no moment"),
        source: sqlx::Error::Encode(Box::new(error)),
    })
}
