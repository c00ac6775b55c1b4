//! The table: one row a topic. Whoever needs to know which topics, schemas or groups there are asks here.

/// How many partitions a topic is created with. Growing it later moves merchants between partitions.
pub const DEFAULT_PARTITIONS: i32 = 12;

/// A topic, the schema of its records, who writes and who reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name in Kafka; its schema's subject is `<name>-value`.
    pub name: &'static str,
    /// `type` of the CloudEvents headers: the record's full name in Avro.
    pub event_type: &'static str,
    /// `source` of the CloudEvents headers: the one service that writes it.
    pub source: &'static str,
    /// The Avro schema new records are written with.
    pub schema: &'static str,
    /// Groups of ours that read it; each has a dead-letter topic.
    pub groups: &'static [&'static str],
}

impl Topic {
    /// The subject of its value schema, by the registry's `TopicNameStrategy`.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("{}-value", self.name)
    }

    /// Where a group puts the records of this topic that it cannot handle.
    #[must_use]
    pub fn dead_letters(&self, group: &str) -> String {
        dead_letter_topic(self.name, group)
    }
}

/// Where a group puts the records of a topic that it cannot handle.
#[must_use]
pub fn dead_letter_topic(topic: &str, group: &str) -> String {
    format!("{topic}.{group}.dlq")
}

/// The consumer group of the stock-processor.
pub const STOCK_GROUP: &str = "stock";
/// The consumer group of the mailer.
pub const MAILER_GROUP: &str = "mailer";

/// An order was accepted.
pub static ORDER_CREATED: Topic = Topic {
    name: "order_created",
    event_type: "larder.events.OrderCreated",
    source: "/larder/order-ingest",
    schema: include_str!("../order_created.avsc"),
    groups: &[STOCK_GROUP],
};

/// Somebody changed what lies on the shelf.
pub static STOCK_ADJUSTED: Topic = Topic {
    name: "stock_adjusted",
    event_type: "larder.events.StockAdjusted",
    source: "/larder/order-ingest",
    schema: include_str!("../stock_adjusted.avsc"),
    groups: &[STOCK_GROUP],
};

/// The ingredients of an order are set aside.
pub static STOCK_RESERVED: Topic = Topic {
    name: "stock_reserved",
    event_type: "larder.events.StockReserved",
    source: "/larder/stock-processor",
    schema: include_str!("../stock_reserved.avsc"),
    groups: &[],
};

/// An order was refused.
pub static STOCK_REJECTED: Topic = Topic {
    name: "stock_rejected",
    event_type: "larder.events.StockRejected",
    source: "/larder/stock-processor",
    schema: include_str!("../stock_rejected.avsc"),
    groups: &[],
};

/// An order is final and used its ingredients.
pub static ORDER_CONFIRMED: Topic = Topic {
    name: "order_confirmed",
    event_type: "larder.events.OrderConfirmed",
    source: "/larder/stock-processor",
    schema: include_str!("../order_confirmed.avsc"),
    groups: &[],
};

/// A reserved order came to nothing.
pub static ORDER_CANCELLED: Topic = Topic {
    name: "order_cancelled",
    event_type: "larder.events.OrderCancelled",
    source: "/larder/stock-processor",
    schema: include_str!("../order_cancelled.avsc"),
    groups: &[],
};

/// An ingredient fell below its threshold.
pub static NOTIFY: Topic = Topic {
    name: "notify",
    event_type: "larder.events.Notify",
    source: "/larder/stock-processor",
    schema: include_str!("../notify.avsc"),
    groups: &[MAILER_GROUP],
};

/// Every topic of Larder, dead letters aside.
pub static TOPICS: [&Topic; 7] = [
    &ORDER_CREATED,
    &STOCK_ADJUSTED,
    &STOCK_RESERVED,
    &STOCK_REJECTED,
    &ORDER_CONFIRMED,
    &ORDER_CANCELLED,
    &NOTIFY,
];

/// The dead-letter topics of every group that reads.
pub fn dead_letter_topics() -> impl Iterator<Item = String> {
    TOPICS
        .into_iter()
        .flat_map(|topic| topic.groups.iter().map(|group| topic.dead_letters(group)))
}
