//! A record as the worker sees it: decoded, or known to be nothing it can handle.

use domain::{
    amount::{Minor, Quantity},
    ids::MerchantId,
    order,
    pantry::Adjustment,
};
use schemas::events::{AdjustmentKind, Micros, OrderCreated, StockAdjusted};
use stream::{DecodeFailure, Reader, RegistryError, partition::partition};

use crate::{packed::Packed, source::Source};

/// A record with what it says.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) record: Packed,
    pub(crate) content: Content,
}

/// What a record says.
#[derive(Debug)]
pub(crate) enum Content {
    Order(OrderCreated),
    Adjustment(StockAdjusted, Adjustment),
    /// It was applied before, by an earlier record.
    Duplicate,
    Poison {
        reason: &'static str,
        detail: String,
    },
}

impl Item {
    pub(crate) fn merchant(&self) -> Option<MerchantId> {
        match &self.content {
            Content::Order(order) => Some(order.merchant_id),
            Content::Adjustment(adjustment, _) => Some(adjustment.merchant_id),
            Content::Duplicate | Content::Poison { .. } => None,
        }
    }
}

/// Reads records.
pub(crate) struct Readers {
    pub(crate) orders: Reader<OrderCreated>,
    pub(crate) adjustments: Reader<StockAdjusted>,
    pub(crate) partitions: i32,
}

impl Readers {
    /// What a record says. Fails only where the registry must be asked and does not answer.
    pub(crate) async fn read(&self, record: Packed) -> Result<Item, (Packed, RegistryError)> {
        let said = match record.source {
            Source::OrderCreated => self.orders.decode(record.value()).await.map(Said::Order),
            Source::StockAdjusted => self.adjustments.decode(record.value()).await.map(Said::Adjustment),
        };
        let content = match said {
            Ok(said) => self
                .check(&record, said)
                .unwrap_or_else(|(reason, detail)| Content::Poison { reason, detail }),
            Err(DecodeFailure::Registry(error)) => return Err((record, error)),
            Err(failure) => Content::Poison {
                reason: failure.reason().unwrap_or("undecodable"),
                detail: failure.to_string(),
            },
        };
        Ok(Item { record, content })
    }

    /// What decodes may still be absurd, or lie where it does not belong.
    fn check(&self, record: &Packed, said: Said) -> Result<Content, (&'static str, String)> {
        let absurd = |detail| ("absurd", detail);
        let (merchant, content) = match said {
            Said::Order(order) => {
                check_order(&order).map_err(absurd)?;
                (order.merchant_id, Content::Order(order))
            }
            Said::Adjustment(adjustment) => {
                let change = change(&adjustment).map_err(absurd)?;
                (adjustment.merchant_id, Content::Adjustment(adjustment, change))
            }
        };
        let key = merchant.to_string();
        if record.key() != Some(key.as_bytes()) {
            let found = record.key().map_or_else(|| "none".into(), String::from_utf8_lossy);
            return Err((
                "key_mismatch",
                format!("the key is {found}, the event is of merchant {key}"),
            ));
        }
        let belongs = partition(key.as_bytes(), self.partitions);
        if belongs != record.partition {
            let detail = format!("merchant {key} belongs to partition {belongs}: produce with partitioner murmur2");
            return Err(("misrouted", detail));
        }
        Ok(content)
    }
}

enum Said {
    Order(OrderCreated),
    Adjustment(StockAdjusted),
}

/// The last moment of the year 9999 and one: beyond it neither text nor the database has a moment.
const END_OF_TIME: i64 = 253_402_300_800_000_000;

fn check_moment(Micros(at): Micros) -> Result<(), String> {
    if (0..END_OF_TIME).contains(&at) {
        return Ok(());
    }
    Err(format!(
        "{at} microseconds since 1970 is not between the years 1970 and 9999"
    ))
}

fn check_order(order: &OrderCreated) -> Result<(), String> {
    check_moment(order.placed_at)?;
    order::check_lines(order.lines.iter().map(|line| i64::from(line.quantity))).map_err(|error| error.to_string())?;
    let mut total = Minor::ZERO;
    for line in &order.lines {
        let price = line
            .unit_price_minor
            .times(i64::from(line.quantity))
            .map_err(|error| error.to_string())?;
        total = total.plus(price).map_err(|error| error.to_string())?;
    }
    if total == order.total_minor {
        return Ok(());
    }
    Err(format!("the total is {}, the lines come to {total}", order.total_minor))
}

/// The change that an event asks for, where it asks for one.
fn change(adjustment: &StockAdjusted) -> Result<Adjustment, String> {
    check_moment(adjustment.adjusted_at)?;
    let bounded = |amount: i64| Quantity::new(amount).map_err(|error| error.to_string());
    match (adjustment.kind, adjustment.amount, adjustment.level) {
        (AdjustmentKind::Restock, Some(amount @ 1..), None) => Ok(Adjustment::Restock(bounded(amount)?)),
        (AdjustmentKind::Waste, Some(amount @ ..0), None) => Ok(Adjustment::Waste(bounded(amount.saturating_neg())?)),
        (AdjustmentKind::Recount, None, Some(level @ 0..)) => Ok(Adjustment::Recount(bounded(level)?)),
        (kind, amount, level) => Err(format!(
            "a {} with amount {amount:?} and level {level:?}: restock has a positive amount, waste a negative one, recount a level",
            kind.as_str(),
        )),
    }
}
