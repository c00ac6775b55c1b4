//! A record within a chunk that it shares with others: there are tens of thousands in memory at a time.

use bytes::{BufMut as _, Bytes, BytesMut};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use stream::Record;
use uuid::Uuid;

use crate::source::Source;

/// Key, value and headers one after another, with what Kafka says of the record.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) source: Source,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    timestamp: i64,
    key: Option<usize>,
    value: Option<usize>,
    bytes: Bytes,
}

/// How much memory records share. It is held until the last of them is gone, and they go in the order they came.
const CHUNK: usize = 256 * 1024;

/// Where records are copied to.
#[derive(Default)]
pub(crate) struct Chunk(BytesMut);

impl Chunk {
    fn with_room(&mut self, bytes: usize) -> &mut BytesMut {
        if self.0.capacity() < bytes {
            self.0 = BytesMut::with_capacity(bytes.max(CHUNK));
        }
        &mut self.0
    }
}

impl Packed {
    /// Copies a record out of librdkafka's buffers.
    pub(crate) fn copy(source: Source, message: &BorrowedMessage<'_>, chunk: &mut Chunk) -> Self {
        let (key, value) = (message.key(), message.payload());
        let headers = || message.headers().into_iter().flat_map(|headers| headers.iter());
        let sizes = headers().map(|header| header.key.len() + header.value.unwrap_or_default().len() + 8);
        let size = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + sizes.sum::<usize>();
        let bytes = chunk.with_room(size);
        bytes.put_slice(key.unwrap_or_default());
        bytes.put_slice(value.unwrap_or_default());
        for header in headers() {
            pack(bytes, header.key.as_bytes());
            pack(bytes, header.value.unwrap_or_default());
        }
        Self {
            source,
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
            key: key.map(<[u8]>::len),
            value: value.map(<[u8]>::len),
            bytes: bytes.split().freeze(),
        }
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.key.map(|length| &self.bytes[..length])
    }

    pub(crate) fn value(&self) -> Option<&[u8]> {
        let start = self.key.unwrap_or_default();
        self.value.map(|length| &self.bytes[start..start + length])
    }

    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.bytes[self.key.unwrap_or_default() + self.value.unwrap_or_default()..];
        std::iter::from_fn(move || Some((unpack(&mut rest)?, unpack(&mut rest)?)))
    }

    /// The text of the last header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers().filter(|(key, _)| *key == name.as_bytes()).last()?;
        std::str::from_utf8(value).ok()
    }

    /// How much memory it takes, nearly.
    pub(crate) const fn size(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }

    /// What tells this record from any other that might stand at its offset.
    pub(crate) fn fingerprint(&self) -> Uuid {
        let key = self.key.unwrap_or_default();
        let mut bytes = key.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.bytes[..key + self.value.unwrap_or_default()]);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes)
    }

    /// As it was on the topic of this name.
    pub(crate) fn to_record(&self, topic: String) -> Record {
        let headers = self
            .headers()
            .map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), value.to_vec()))
            .collect();
        Record {
            topic,
            partition: self.partition,
            offset: self.offset,
            key: self.key().map(<[u8]>::to_vec),
            value: self.value().map(<[u8]>::to_vec),
            headers,
            timestamp: self.timestamp,
        }
    }
}

fn pack(bytes: &mut BytesMut, part: &[u8]) {
    // A record is far below 4 GiB, and so is each part of it.
    bytes.put_u32(u32::try_from(part.len()).unwrap_or(u32::MAX));
    bytes.put_slice(part);
}

fn unpack<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (part, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = after;
    Some(part)
}
