//! A record, taken off its topic.

use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};

/// A record with everything it carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic's name in Kafka.
    pub topic: String,
    /// Where on the topic.
    pub partition: i32,
    /// Where in the partition.
    pub offset: i64,
    /// What it belongs to.
    pub key: Option<Vec<u8>>,
    /// What it says.
    pub value: Option<Vec<u8>>,
    /// What was said about it; a header without a value counts as an empty one.
    pub headers: Vec<(String, Vec<u8>)>,
    /// When it was produced, in milliseconds since 1970; -1 where unknown.
    pub timestamp: i64,
}

impl Record {
    /// Copies a record out of librdkafka's buffers.
    #[must_use]
    pub fn copy(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
                .collect()
        });
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
        }
    }

    /// Its headers as a producer takes them.
    #[must_use]
    pub fn owned_headers(&self) -> OwnedHeaders {
        self.headers.iter().fold(
            OwnedHeaders::new_with_capacity(self.headers.len() + 8),
            |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(value),
                })
            },
        )
    }
}
