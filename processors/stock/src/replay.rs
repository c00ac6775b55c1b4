//! Telling again what was applied before a crash: from what is stored, never by deciding again.

use std::borrow::Cow;

use domain::ids::MerchantId;
use sqlx::PgConnection;
use store::{
    StoreError, alerts,
    batch::DeadLetterRow,
    outcomes::{self, StoredOutcome},
};
use stream::{Names, RegistryError};

use crate::{
    assignment::Stop,
    item::{Content, Item, Readers},
    packed::Packed,
    source::Source,
    told::{Told, What},
};

/// Why the past cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecallError {
    #[error("{0}")]
    Stop(Stop),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// What these records of one shard came to; they were all applied.
pub(crate) async fn recall(
    connection: &mut PgConnection,
    readers: &Readers,
    names: &Names,
    records: &[Packed],
) -> Result<Vec<Told>, RecallError> {
    let mut told = Vec::with_capacity(records.len());
    for source in Source::ALL {
        let mut items = Vec::new();
        for record in records.iter().filter(|record| record.source == source) {
            items.push(readers.read(record.clone()).await.map_err(|(_, error)| error)?);
        }
        if !items.is_empty() {
            told.extend(recall_source(connection, &names.topic(source.topic()), items).await?);
        }
    }
    Ok(told)
}

async fn recall_source(connection: &mut PgConnection, topic: &str, items: Vec<Item>) -> Result<Vec<Told>, RecallError> {
    let (Some(first), Some(last)) = (items.first(), items.last()) else {
        return Ok(Vec::new());
    };
    let place = (topic, first.record.partition);
    let span = (first.record.offset, last.record.offset + 1);
    let orders: Vec<_> = items
        .iter()
        .filter_map(|item| match &item.content {
            Content::Order(order) => Some((order.merchant_id.get(), order.order_id.get())),
            _ => None,
        })
        .collect();
    let mut merchants: Vec<i64> = items
        .iter()
        .filter_map(|item| item.merchant().map(MerchantId::get))
        .collect();
    merchants.sort_unstable();
    merchants.dedup();
    let stored = outcomes::stored(connection, &orders).await?;
    let mut aside = outcomes::dead_letters(connection, place, span).await?;
    let mut raised = alerts::raised_by(connection, &merchants, place, span).await?;

    let mut told = Vec::with_capacity(items.len());
    for Item { record, content } in items {
        let offset = record.offset;
        let alerts = raised.extract_if(.., |alert| alert.source_offset == offset).collect();
        let letter = aside.extract_if(.., |letter| letter.offset == offset).next();
        let what = match (content, letter) {
            // A letter of this offset that is older than the topic says nothing of the order that stands there now.
            (Content::Order(order), letter) => match (stored.get(&(order.merchant_id, order.order_id)), letter) {
                (Some(outcome), _) if outcome.source == (record.partition, offset) => again(order, outcome.clone()),
                (_, Some(letter)) => put_aside(letter),
                // A repeat: the order came by another record.
                (Some(_), None) => continue,
                (None, None) => return Err(missing(topic, offset)),
            },
            (_, Some(letter)) => put_aside(letter),
            (Content::Adjustment(..), None) => What::Moved,
            (Content::Duplicate, None) => continue,
            (Content::Poison { .. }, None) => return Err(missing(topic, offset)),
        };
        told.push(Told { record, what, alerts });
    }
    Ok(told)
}

fn put_aside(letter: DeadLetterRow) -> What {
    What::DeadLetter {
        reason: Cow::Owned(letter.reason),
        detail: letter.detail,
    }
}

fn missing(topic: &str, offset: i64) -> RecallError {
    RecallError::Stop(Stop::OutcomeMissing {
        topic: topic.to_owned(),
        offset,
    })
}

fn again(order: schemas::events::OrderCreated, outcome: StoredOutcome) -> What {
    let at = outcome.decided_at;
    match outcome.rejected {
        None => What::accepted(order, outcome.demand, at),
        Some(reason) => What::rejected(&order, reason, outcome.shortfalls, at),
    }
}
