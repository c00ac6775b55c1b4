//! What a batch is to tell, written out: the worker writes it once, the publisher sends it as often as it takes.

use std::fmt::Write as _;

use schemas::{
    Event,
    events::{Micros, Notify, OrderConfirmed, StockRejected, StockReserved},
};
use store::alerts::AlertRow;
use stream::{
    Names, Record, Registry, RegistryError, Writer,
    headers::{self, rfc3339},
};

use crate::{
    packed::Packed,
    source::Source,
    told::{Told, What, notify},
};

/// The writers of everything the stock-processor says.
pub(crate) struct Writers {
    names: Names,
    reserved: Writer<StockReserved>,
    rejected: Writer<StockRejected>,
    confirmed: Writer<OrderConfirmed>,
    notify: Writer<Notify>,
}

impl Writers {
    pub(crate) async fn open(registry: &Registry, names: Names) -> Result<Self, RegistryError> {
        Ok(Self {
            names,
            reserved: registry.writer().await?,
            rejected: registry.writer().await?,
            confirmed: registry.writer().await?,
            notify: registry.writer().await?,
        })
    }
}

/// A topic that the stock-processor writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Reserved,
    Rejected,
    Confirmed,
    Notify,
}

impl Channel {
    pub(crate) const ALL: [Self; 4] = [Self::Reserved, Self::Rejected, Self::Confirmed, Self::Notify];

    pub(crate) const fn topic(self) -> &'static schemas::Topic {
        match self {
            Self::Reserved => StockReserved::TOPIC,
            Self::Rejected => StockRejected::TOPIC,
            Self::Confirmed => OrderConfirmed::TOPIC,
            Self::Notify => Notify::TOPIC,
        }
    }
}

/// An event, ready to be sent.
pub(crate) struct Letter<'a> {
    pub(crate) channel: Channel,
    pub(crate) key: &'a str,
    pub(crate) id: &'a str,
    pub(crate) time: &'a str,
    pub(crate) trace: Option<&'a str>,
    pub(crate) value: &'a [u8],
}

/// A record that goes to the dead letters of its topic.
pub(crate) struct Aside {
    pub(crate) source: Source,
    pub(crate) record: Record,
    pub(crate) reason: String,
    pub(crate) detail: String,
}

/// One thing to be sent.
pub(crate) enum Sending<'a> {
    Letter(Letter<'a>),
    Aside(&'a Aside),
}

/// Where an entry's parts end; each begins where the one before it ends.
struct Written {
    channel: Channel,
    key: usize,
    id: usize,
    trace: usize,
    value: usize,
    /// Which of the times.
    time: usize,
}

enum Entry {
    Letter(Written),
    Aside(Box<Aside>),
}

/// The events of a batch, one after another in one buffer: there are tens of thousands.
#[derive(Default)]
pub(crate) struct Outbox {
    /// Keys, ids and traces.
    text: String,
    values: Vec<u8>,
    /// Most events of a batch have the same.
    times: Vec<(Micros, String)>,
    entries: Vec<Entry>,
}

impl Outbox {
    /// Room for the outcomes of so many orders.
    pub(crate) fn with_capacity(orders: usize) -> Self {
        Self {
            text: String::with_capacity(orders * 256),
            values: Vec::with_capacity(orders * 256),
            times: Vec::new(),
            entries: Vec::with_capacity(orders * 2),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Writes down what became of a record.
    pub(crate) fn add(&mut self, writers: &Writers, told: &Told) {
        let Told { record, what, alerts } = told;
        match what {
            What::Accepted(reserved, confirmed) => {
                let id = (reserved.order_id.get(), "-reserved");
                self.letter(
                    Channel::Reserved,
                    &writers.reserved,
                    reserved,
                    id,
                    reserved.reserved_at,
                    record,
                );
                let id = (confirmed.order_id.get(), "-confirmed");
                self.letter(
                    Channel::Confirmed,
                    &writers.confirmed,
                    confirmed,
                    id,
                    confirmed.confirmed_at,
                    record,
                );
            }
            What::Rejected(event) => {
                let id = (event.order_id.get(), "-rejected");
                self.letter(
                    Channel::Rejected,
                    &writers.rejected,
                    event,
                    id,
                    event.rejected_at,
                    record,
                );
            }
            What::Moved => {}
            What::DeadLetter { reason, detail } => {
                let source = record.source;
                self.entries.push(Entry::Aside(Box::new(Aside {
                    source,
                    record: record.to_record(writers.names.topic(source.topic())),
                    reason: reason.clone().into_owned(),
                    detail: detail.clone(),
                })));
            }
        }
        for alert in alerts {
            self.alert(writers, alert, record);
        }
    }

    fn alert(&mut self, writers: &Writers, alert: &AlertRow, record: &Packed) {
        let id = (alert.id.get(), "");
        self.letter(
            Channel::Notify,
            &writers.notify,
            &notify(alert),
            id,
            alert.raised_at,
            record,
        );
    }

    fn letter<E: Event>(
        &mut self,
        channel: Channel,
        writer: &Writer<E>,
        event: &E,
        (id, suffix): (uuid::Uuid, &str),
        at: Micros,
        record: &Packed,
    ) {
        // Writing to a String does not fail.
        let _ = write!(self.text, "{}", event.merchant());
        let key = self.text.len();
        self.text
            .push_str(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()));
        self.text.push_str(suffix);
        let id = self.text.len();
        self.text
            .push_str(record.header(headers::TRACEPARENT).unwrap_or_default());
        writer
            .encode_to(event, &mut self.values)
            .expect("every event of ours can be written: the tests of schemas write each");
        if self.times.last().is_none_or(|(known, _)| *known != at) {
            self.times.push((at, rfc3339(at)));
        }
        self.entries.push(Entry::Letter(Written {
            channel,
            key,
            id,
            trace: self.text.len(),
            value: self.values.len(),
            time: self.times.len() - 1,
        }));
    }

    /// Everything, in the order it was written down.
    pub(crate) fn sendings(&self) -> impl Iterator<Item = Sending<'_>> {
        let (mut text, mut value) = (0, 0);
        self.entries.iter().map(move |entry| match entry {
            Entry::Aside(aside) => Sending::Aside(aside),
            Entry::Letter(written) => {
                let trace = &self.text[written.id..written.trace];
                let letter = Letter {
                    channel: written.channel,
                    key: &self.text[text..written.key],
                    id: &self.text[written.key..written.id],
                    time: &self.times[written.time].1,
                    trace: (!trace.is_empty()).then_some(trace),
                    value: &self.values[value..written.value],
                };
                (text, value) = (written.trace, written.value);
                Sending::Letter(letter)
            }
        })
    }
}
