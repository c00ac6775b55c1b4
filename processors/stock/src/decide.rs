//! From a record to what it comes to, by the rules of `domain`, against the shard's stock in memory.

use domain::{
    ids::MerchantId,
    order::Line,
    pantry::{Adjustment, Crossing, Pantry, Shortfall},
};
use schemas::events::{Demand, Micros, OrderCreated, StockAdjusted};
use store::batch::MovementRow;

use crate::{
    item::{Content, Item},
    shard::Shard,
};

/// What a record comes to.
#[derive(Debug)]
pub(crate) enum Decision {
    /// The order takes this.
    Accepted(Vec<Demand>),
    /// The order is refused.
    Rejected(&'static str, Vec<Shortfall>),
    /// The stock was adjusted, or that was refused.
    Moved(Box<MovementRow>),
    /// It is put aside.
    DeadLetter { reason: &'static str, detail: String },
    /// It was applied before.
    Nothing,
}

/// Decides one record. What it takes is taken from the stock in memory; crossings are told.
pub(crate) fn decide(item: &Item, shard: &mut Shard, now: Micros) -> (Decision, Vec<Crossing>) {
    match &item.content {
        Content::Order(order) => decide_order(order, shard),
        Content::Adjustment(adjustment, change) => decide_adjustment(item, adjustment, *change, shard, now),
        Content::Duplicate => (Decision::Nothing, Vec::new()),
        Content::Poison { reason, detail } => (dead(reason, detail.clone()), Vec::new()),
    }
}

fn dead(reason: &'static str, detail: String) -> Decision {
    Decision::DeadLetter { reason, detail }
}

/// The merchant's pantry, or why there is none.
fn pantry(shard: &mut Shard, merchant: MerchantId) -> Result<&Pantry, Decision> {
    match shard.pantry(merchant) {
        Some(Ok(pantry)) => Ok(pantry),
        Some(Err(error)) => Err(dead("broken_recipe", error.to_string())),
        None => Err(dead("unknown_merchant", format!("there is no merchant {merchant}"))),
    }
}

fn decide_order(order: &OrderCreated, shard: &mut Shard) -> (Decision, Vec<Crossing>) {
    let lines = order.lines.iter().map(|line| Line {
        product: line.product_id,
        quantity: line.quantity,
    });
    let taken = match pantry(shard, order.merchant_id) {
        Ok(pantry) => pantry.decide_order(lines),
        Err(aside) => return (aside, Vec::new()),
    };
    let demand = match taken {
        Ok(demand) => demand,
        Err(rejection) => {
            let reason = rejection.reason();
            let shortfalls = match rejection {
                domain::pantry::Rejection::InsufficientStock(shortfalls) => shortfalls,
                _ => Vec::new(),
            };
            return (Decision::Rejected(reason, shortfalls), Vec::new());
        }
    };
    let crossings = shard
        .change(order.merchant_id)
        .map_or_else(Vec::new, |pantry| pantry.take(&demand));
    let demand = demand
        .into_iter()
        .map(|part| Demand {
            ingredient_id: part.ingredient,
            amount: part.amount,
        })
        .collect();
    (Decision::Accepted(demand), crossings)
}

fn decide_adjustment(
    item: &Item,
    adjustment: &StockAdjusted,
    change: Adjustment,
    shard: &mut Shard,
    now: Micros,
) -> (Decision, Vec<Crossing>) {
    let merchant = adjustment.merchant_id;
    let decided = match pantry(shard, merchant) {
        Ok(pantry) => pantry.decide_adjustment(adjustment.ingredient_id, change),
        Err(aside) => return (aside, Vec::new()),
    };
    let mut crossings = Vec::new();
    let result = match decided {
        Ok(adjusted) => {
            if let Some(pantry) = shard.change(merchant) {
                crossings.extend(pantry.adjust(&adjusted));
            }
            Ok((adjusted.on_hand.get() - adjusted.before.get(), adjusted.on_hand))
        }
        Err(refusal) => Err((refusal.reason(), refusal.to_string())),
    };
    let movement = MovementRow {
        merchant,
        id: adjustment.adjustment_id,
        ingredient: adjustment.ingredient_id,
        kind: adjustment.kind.as_str(),
        result,
        reason: adjustment.reason.clone(),
        requested_at: adjustment.adjusted_at,
        decided_at: now,
        partition: item.record.partition,
        offset: item.record.offset,
    };
    (Decision::Moved(Box::new(movement)), crossings)
}
