//! The binary format of COPY: the fastest way to bring rows into a table.

/// Writes tuples in Postgres' binary COPY format.
pub(crate) struct CopyBuffer {
    bytes: Vec<u8>,
}

/// Microseconds between 1970, where we count from, and 2000, where Postgres does.
const EPOCH: i64 = 946_684_800_000_000;

impl CopyBuffer {
    /// The header, and room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(bytes);
        buffer.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
        // No flags, no header extension.
        buffer.extend_from_slice(&[0; 8]);
        Self { bytes: buffer }
    }

    /// Begins a row of so many columns.
    pub(crate) fn row(&mut self, columns: i16) {
        self.bytes.extend_from_slice(&columns.to_be_bytes());
    }

    /// `bytea`, `text`, `uuid`: the bytes as they are.
    pub(crate) fn raw(&mut self, value: &[u8]) {
        self.length(value.len());
        self.bytes.extend_from_slice(value);
    }

    /// As [`Self::raw`], where there may be none.
    pub(crate) fn optional(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.raw(value),
            None => self.bytes.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
    }

    /// `bigint`.
    pub(crate) fn int8(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// `integer`.
    pub(crate) fn int4(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// `timestamptz`, from microseconds since 1970.
    pub(crate) fn timestamp(&mut self, micros: i64) {
        self.int8(micros.saturating_sub(EPOCH));
    }

    /// `bigint[]` of one dimension.
    pub(crate) fn int8_array(&mut self, values: &[i64]) {
        /// The type `bigint`, as Postgres numbers its types.
        const INT8_OID: i32 = 20;
        let count = values.len();
        if count == 0 {
            self.length(12);
            self.words(&[0, 0, INT8_OID]);
            return;
        }
        self.length(20 + 12 * count);
        // One dimension, no nulls, its length, and the index of its first element.
        self.words(&[1, 0, INT8_OID, i32::try_from(count).unwrap_or(i32::MAX), 1]);
        for value in values {
            self.int8(*value);
        }
    }

    /// The trailer, and the whole.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&(-1_i16).to_be_bytes());
        self.bytes
    }

    fn words(&mut self, words: &[i32]) {
        for word in words {
            self.bytes.extend_from_slice(&word.to_be_bytes());
        }
    }

    fn length(&mut self, bytes: usize) {
        // A value of 2 GiB is beyond what Kafka carries; Postgres refuses the length it would be given here.
        self.words(&[i32::try_from(bytes).unwrap_or(i32::MAX)]);
    }
}
