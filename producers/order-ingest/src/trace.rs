//! The ids a request goes by: the client's where they are sound, else fresh ones.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header of a request's id.
pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The request's id.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    match headers.get(&REQUEST_ID) {
        Some(id) if is_token(id.as_bytes()) => id.clone(),
        _ => {
            let mut id = [0; 32];
            hexadecimal(fastrand::u128(..), &mut id);
            HeaderValue::from_bytes(&id).expect("hexadecimal digits are a header")
        }
    }
}

/// The trace that the request belongs to, as W3C has it.
pub(crate) fn traceparent(headers: &HeaderMap) -> String {
    let given = headers.get("traceparent").and_then(|value| value.to_str().ok());
    match given {
        Some(trace) if is_traceparent(trace) => trace.to_owned(),
        _ => {
            let mut trace = *b"00-00000000000000000000000000000000-0000000000000000-00";
            hexadecimal(fastrand::u128(1..), &mut trace[3..35]);
            hexadecimal(fastrand::u64(1..).into(), &mut trace[36..52]);
            std::str::from_utf8(&trace)
                .expect("hexadecimal digits are ASCII")
                .to_owned()
        }
    }
}

/// As many digits as there is place for: two of these are written for every request.
fn hexadecimal(mut number: u128, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

/// Short, and harmless in a log.
fn is_token(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

/// Version 00: `00-<32 digits>-<16 digits>-<2 digits>`, neither id all zeros.
fn is_traceparent(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = text.split('-');
    let (Some("00"), Some(trace), Some(span), Some(flags), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let id = |part: &str, length| part.len() == length && digits(part) && part.bytes().any(|byte| byte != b'0');
    id(trace, 32) && id(span, 16) && flags.len() == 2 && digits(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_trace_is_kept() {
        let sound = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(sound));
        for broken in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert!(!is_traceparent(broken), "{broken}");
        }
        assert!(is_traceparent(&traceparent(&HeaderMap::new())));
    }

    #[test]
    fn an_id_that_could_forge_a_log_line_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(&REQUEST_ID, HeaderValue::from_static("client-42"));
        assert_eq!(request_id(&headers), "client-42");
        headers.insert(&REQUEST_ID, HeaderValue::from_static("a b\" c"));
        assert_eq!(request_id(&headers).len(), 32);
    }
}
