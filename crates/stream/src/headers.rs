//! Headers: `CloudEvents` in binary mode and the W3C trace context.

use std::{
    fmt::Display,
    time::{SystemTime, UNIX_EPOCH},
};

use rdkafka::message::{Header, OwnedHeaders};
use schemas::{Topic, events::Micros};

/// The id of an event; the same in every repeat.
pub const ID: &str = "ce_id";
/// The trace an event belongs to.
pub const TRACEPARENT: &str = "traceparent";

/// The headers of an event of ours.
#[must_use]
pub fn cloud_events(topic: &'static Topic, id: impl Display, time: Micros, traceparent: Option<&str>) -> OwnedHeaders {
    event_headers(topic, &id.to_string(), &rfc3339(time), traceparent)
}

/// The headers of an event of ours, from what is text already.
#[must_use]
pub fn event_headers(topic: &'static Topic, id: &str, time: &str, traceparent: Option<&str>) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(7)
        .insert(Header {
            key: "ce_specversion",
            value: Some("1.0"),
        })
        .insert(Header {
            key: ID,
            value: Some(id),
        })
        .insert(Header {
            key: "ce_type",
            value: Some(topic.event_type),
        })
        .insert(Header {
            key: "ce_source",
            value: Some(topic.source),
        })
        .insert(Header {
            key: "ce_time",
            value: Some(time),
        })
        .insert(Header {
            key: "content-type",
            value: Some("application/avro"),
        });
    match traceparent {
        Some(trace) => headers.insert(Header {
            key: TRACEPARENT,
            value: Some(trace),
        }),
        None => headers,
    }
}

/// The text of the last header of this name.
#[must_use]
pub fn header<'a>(headers: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().rev().find(|(key, _)| key == name)?;
    std::str::from_utf8(value).ok()
}

/// This moment.
#[must_use]
pub fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A moment as RFC 3339 has it, in UTC to the microsecond.
///
/// By hand, because two of these are written for every order: civil date from days since 1970 by Howard Hinnant's
/// algorithm for the proleptic Gregorian calendar.
#[must_use]
pub fn rfc3339(Micros(micros): Micros) -> String {
    let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    if !(0..=9999).contains(&year) {
        return format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z");
    }
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let mut write = |at: usize, digits: usize, mut number: i64| {
        for place in text[at..at + digits].iter_mut().rev() {
            *place = b'0' + u8::try_from(number % 10).expect("a digit");
            number /= 10;
        }
    };
    write(0, 4, year);
    write(5, 2, month);
    write(8, 2, day);
    write(11, 2, hour);
    write(14, 2, minute);
    write(17, 2, second);
    write(20, 6, micros);
    std::str::from_utf8(&text).expect("digits are ASCII").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_utc() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_763_665_629_123_456, "2025-11-20T19:07:09.123456Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (253_402_300_800_000_000, "10000-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(rfc3339(Micros(micros)), text);
        }
    }

    #[test]
    fn the_last_header_of_a_name_counts() {
        let headers = vec![
            ("a".to_owned(), b"1".to_vec()),
            ("b".to_owned(), vec![0xff]),
            ("a".to_owned(), b"2".to_vec()),
        ];
        assert_eq!(header(&headers, "a"), Some("2"));
        assert_eq!(header(&headers, "b"), None);
        assert_eq!(header(&headers, "c"), None);
    }
}
