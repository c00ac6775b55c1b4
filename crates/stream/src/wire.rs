//! Confluent's wire format: a zero byte, the schema's id in four, the Avro value.

/// How many bytes stand before the value.
pub const PREFIX: usize = 5;

/// The bytes that stand before a value of this schema.
#[must_use]
pub const fn prefix(schema_id: u32) -> [u8; PREFIX] {
    let [a, b, c, d] = schema_id.to_be_bytes();
    [0, a, b, c, d]
}

/// The schema's id and the value, where the bytes have this format.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [0, a, b, c, d, value @ ..] => Some((u32::from_be_bytes([*a, *b, *c, *d]), value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = [prefix(0x0102_0304).as_slice(), b"value"].concat();
        assert_eq!(parse(&bytes), Some((0x0102_0304, b"value".as_slice())));
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [b"".as_slice(), &[0], &[0, 0, 0, 1], &[1, 0, 0, 0, 1, 9], b"{\"id\":1}"] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }
}
