//! Integers packed into one `bytea`: each as Avro writes a long, one after another. In SQL `longs(…)` reads them.

/// Appends one.
pub(crate) fn push(packed: &mut Vec<u8>, long: i64) {
    let mut bits = (long << 1 ^ long >> 63).cast_unsigned();
    while bits >= 0x80 {
        packed.push(low_seven(bits) | 0x80);
        bits >>= 7;
    }
    packed.push(low_seven(bits));
}

/// All of them, packed.
pub(crate) fn packed(longs: impl IntoIterator<Item = i64>) -> Vec<u8> {
    let mut packed = Vec::new();
    for long in longs {
        push(&mut packed, long);
    }
    packed
}

/// All of them, unpacked; none where the bytes are out of shape.
#[must_use]
pub fn unpacked(mut packed: &[u8]) -> Option<Vec<i64>> {
    let mut longs = Vec::with_capacity(packed.len() / 2);
    while !packed.is_empty() {
        longs.push(next(&mut packed)?);
    }
    Some(longs)
}

fn next(packed: &mut &[u8]) -> Option<i64> {
    let mut bits = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = packed.split_off_first()?;
        let seven = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if seven << shift >> shift != seven {
            return None;
        }
        bits |= seven << shift;
        if byte & 0x80 == 0 {
            return Some((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
        }
    }
    None
}

fn low_seven(bits: u64) -> u8 {
    bits.to_le_bytes()[0] & 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let longs = [0, -1, 1, 63, -64, 64, 950, 1_000_000_000_000, i64::MAX, i64::MIN];
        let packed = packed(longs);
        assert_eq!(packed[..4], [0, 1, 2, 126]);
        assert_eq!(unpacked(&packed).as_deref(), Some(longs.as_slice()));
        assert_eq!(unpacked(&[]), Some(Vec::new()));
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_nothing() {
        assert_eq!(unpacked(&[0x80]), None);
        assert_eq!(unpacked(&[2, 0xff]), None);
        assert_eq!(unpacked(&[0xff; 11]), None);
        let mut beyond = [0xff; 10];
        beyond[9] = 2;
        assert_eq!(unpacked(&beyond), None);
    }
}
