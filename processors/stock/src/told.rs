//! What became of a record, as the events that tell it.

use std::borrow::Cow;

use domain::{amount::Minor, pantry::Shortfall};
use schemas::events::{Demand, Micros, Notify, OrderConfirmed, OrderCreated, StockRejected, StockReserved};
use store::alerts::AlertRow;

use crate::packed::Packed;

/// A record and what is to be told of it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) record: Packed,
    pub(crate) what: What,
    pub(crate) alerts: Vec<AlertRow>,
}

/// What became of a record.
#[derive(Debug)]
pub(crate) enum What {
    /// Nothing is due, so the order is confirmed with its reservation.
    Accepted(StockReserved, OrderConfirmed),
    Rejected(StockRejected),
    /// The alerts are all there is to tell.
    Moved,
    DeadLetter {
        reason: Cow<'static, str>,
        detail: String,
    },
}

impl What {
    pub(crate) fn accepted(order: OrderCreated, demand: Vec<Demand>, at: Micros) -> Self {
        let reserved = StockReserved {
            order_id: order.order_id,
            merchant_id: order.merchant_id,
            demand,
            amount_due_minor: Minor::ZERO,
            currency: order.currency,
            deadline: None,
            reserved_at: at,
        };
        let confirmed = OrderConfirmed {
            order_id: order.order_id,
            merchant_id: order.merchant_id,
            customer_id: order.customer_id,
            customer_email: order.customer_email,
            total_minor: order.total_minor,
            currency: order.currency,
            confirmed_at: at,
        };
        Self::Accepted(reserved, confirmed)
    }

    pub(crate) fn rejected(order: &OrderCreated, reason: String, shortfalls: Vec<Shortfall>, at: Micros) -> Self {
        Self::Rejected(StockRejected {
            order_id: order.order_id,
            merchant_id: order.merchant_id,
            reason,
            shortfalls,
            rejected_at: at,
        })
    }
}

/// The event of an alert, as its row has it.
pub(crate) fn notify(alert: &AlertRow) -> Notify {
    Notify {
        alert_id: alert.id,
        merchant_id: alert.merchant,
        merchant_name: alert.labels.merchant_name.clone(),
        ingredient_id: alert.ingredient,
        ingredient_name: alert.labels.ingredient_name.clone(),
        unit: alert.labels.unit.clone(),
        level_before: alert.level_before,
        level_after: alert.level_after,
        full_level: alert.full_level,
        threshold_pct: i32::from(alert.threshold_pct),
        recipients: alert.labels.recipients.clone(),
        raised_at: alert.raised_at,
    }
}
