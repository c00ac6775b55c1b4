//! The binary format of COPY: the fastest way to bring rows into a table.

use crate::longs;

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

    /// `bytea` of packed integers.
    pub(crate) fn longs(&mut self, values: impl Iterator<Item = i64>) {
        let start = self.bytes.len();
        self.length(0);
        for value in values {
            longs::push(&mut self.bytes, value);
        }
        let (_, value) = self.bytes.split_at_mut(start);
        if let Some((length, value)) = value.split_first_chunk_mut() {
            *length = wire_length(value.len());
        }
    }

    /// The trailer.
    pub(crate) fn finish(&mut self) {
        self.bytes.extend_from_slice(&(-1_i16).to_be_bytes());
    }

    /// What is written since the last [`Self::clear`].
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Goes on behind what was sent.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    fn length(&mut self, bytes: usize) {
        self.bytes.extend_from_slice(&wire_length(bytes));
    }
}

fn wire_length(bytes: usize) -> [u8; 4] {
    // A value of 2 GiB is beyond what Kafka carries; Postgres refuses the length it would be given here.
    i32::try_from(bytes).unwrap_or(i32::MAX).to_be_bytes()
}
