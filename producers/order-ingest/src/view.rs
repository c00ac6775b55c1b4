//! What clients see of orders, stock and adjustments. Units stand in the names; money is in minor units.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::{
    amount::{Minor, Quantity},
    ids::{AdjustmentId, CustomerId, IngredientId, MerchantId, OrderId, ProductId},
    money::Currency,
    order::Status,
    pantry::Shortfall,
};
use schemas::events::{OrderCreated, OrderLine, StockAdjusted};
use serde::{Serialize, Serializer};
use store::{movements::Movement, orders::Order, stock_levels::StockLevel};
use stream::headers::rfc3339;

/// An order of two lines is about as long.
const USUAL_LENGTH: usize = 512;

/// An order, pending or decided.
#[derive(Serialize)]
pub(crate) struct OrderView<'a> {
    id: OrderId,
    status: Status,
    merchant_id: MerchantId,
    customer_id: CustomerId,
    currency: Currency,
    items: Items<'a>,
    total_minor: Minor,
    placed_at: String,
    decided_at: Option<String>,
    reason: Option<&'a str>,
    shortfalls: &'a [Shortfall],
}

struct Items<'a>(&'a [OrderLine]);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ItemView::from))
    }
}

#[derive(Serialize)]
struct ItemView {
    product_id: ProductId,
    quantity: i32,
    unit_price_minor: Minor,
    line_total_minor: Minor,
}

impl<'a> OrderView<'a> {
    /// An order that was just accepted.
    pub(crate) fn pending(order: &'a OrderCreated) -> Self {
        Self {
            id: order.order_id,
            status: Status::Pending,
            merchant_id: order.merchant_id,
            customer_id: order.customer_id,
            currency: order.currency,
            items: Items(&order.lines),
            total_minor: order.total_minor,
            placed_at: rfc3339(order.placed_at),
            decided_at: None,
            reason: None,
            shortfalls: &[],
        }
    }

    /// An order as it stands in Postgres.
    pub(crate) fn decided(order: &'a Order) -> Self {
        Self {
            id: order.id,
            status: order.status,
            merchant_id: order.merchant_id,
            customer_id: order.customer_id,
            currency: order.currency,
            items: Items(&order.lines),
            total_minor: order.total_minor,
            placed_at: rfc3339(order.placed_at),
            decided_at: Some(rfc3339(order.decided_at)),
            reason: order.reason.as_deref(),
            shortfalls: &order.shortfalls,
        }
    }

    /// The same order as it was when it was accepted.
    pub(crate) fn as_accepted(order: &'a Order) -> Self {
        Self {
            status: Status::Pending,
            decided_at: None,
            reason: None,
            shortfalls: &[],
            ..Self::decided(order)
        }
    }
}

impl From<&OrderLine> for ItemView {
    fn from(line: &OrderLine) -> Self {
        Self {
            product_id: line.product_id,
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
            // Was added up without overflow when the order was priced.
            line_total_minor: line.unit_price_minor.times(line.quantity.into()).unwrap_or_default(),
        }
    }
}

/// Everything a merchant has in stock.
#[derive(Serialize)]
pub(crate) struct StockView {
    ingredients: Vec<LevelView>,
}

#[derive(Serialize)]
struct LevelView {
    id: IngredientId,
    reference: Option<String>,
    name: String,
    unit: String,
    on_hand: Quantity,
    reserved: Quantity,
    available: Quantity,
    full_level: Quantity,
    threshold_pct: i16,
    alert: &'static str,
}

impl From<Vec<StockLevel>> for StockView {
    fn from(levels: Vec<StockLevel>) -> Self {
        let level = |level: StockLevel| LevelView {
            id: level.ingredient_id,
            reference: level.reference,
            name: level.name,
            unit: level.unit,
            on_hand: level.stock.on_hand,
            reserved: level.stock.reserved,
            available: level.stock.available(),
            full_level: level.threshold.full_level,
            threshold_pct: level.threshold.percent,
            alert: if level.stock.alert_armed { "armed" } else { "raised" },
        };
        Self {
            ingredients: levels.into_iter().map(level).collect(),
        }
    }
}

/// A change of stock, pending or decided.
#[derive(Serialize)]
pub(crate) struct AdjustmentView<'a> {
    id: AdjustmentId,
    ingredient_id: IngredientId,
    kind: &'a str,
    /// Restock and waste: how much came in or went.
    amount: Option<i64>,
    /// Recount: what lies on the shelf.
    level: Option<i64>,
    reason: &'a str,
    status: &'static str,
    /// What the stock changed by and what that came to.
    changed_by: Option<i64>,
    on_hand: Option<i64>,
    refusal: Option<&'a str>,
    refusal_detail: Option<&'a str>,
    requested_at: String,
    decided_at: Option<String>,
}

impl<'a> AdjustmentView<'a> {
    /// A change that was just accepted.
    pub(crate) fn pending(adjustment: &'a StockAdjusted) -> Self {
        Self {
            id: adjustment.adjustment_id,
            ingredient_id: adjustment.ingredient_id,
            kind: adjustment.kind.as_str(),
            amount: adjustment.amount.map(i64::abs),
            level: adjustment.level,
            reason: &adjustment.reason,
            status: "pending",
            changed_by: None,
            on_hand: None,
            refusal: None,
            refusal_detail: None,
            requested_at: rfc3339(adjustment.adjusted_at),
            decided_at: None,
        }
    }

    /// A change as it stands in Postgres.
    pub(crate) fn decided(id: AdjustmentId, movement: &'a Movement) -> Self {
        let is_level = movement.kind == "recount";
        Self {
            id,
            ingredient_id: movement.ingredient_id,
            kind: &movement.kind,
            amount: movement.amount.filter(|_| !is_level).map(i64::abs),
            level: movement.on_hand.filter(|_| is_level),
            reason: &movement.reason,
            status: if movement.refusal.is_some() {
                "refused"
            } else {
                "applied"
            },
            changed_by: movement.amount,
            on_hand: movement.on_hand,
            refusal: movement.refusal.as_deref(),
            refusal_detail: movement.refusal_detail.as_deref(),
            requested_at: rfc3339(movement.requested_at),
            decided_at: Some(rfc3339(movement.decided_at)),
        }
    }
}

/// The JSON of a view.
pub(crate) fn json(view: &impl Serialize) -> Bytes {
    let mut json = Vec::with_capacity(USUAL_LENGTH);
    serde_json::to_writer(&mut json, view).expect("text and numbers are JSON");
    json.into()
}

/// An answer that holds JSON.
pub(crate) fn answer(status: StatusCode, json: Bytes) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        json,
    )
        .into_response()
}

/// `202`, with the place where it can be looked up later.
pub(crate) fn accepted(location: &str, json: Bytes) -> Response {
    let mut response = answer(StatusCode::ACCEPTED, json);
    let location = HeaderValue::from_str(location).expect("a path of ours is ASCII");
    response.headers_mut().insert(header::LOCATION, location);
    response
}
