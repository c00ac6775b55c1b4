//! The Rust types of the events, field by field as in the `.avsc` of the same name.

use domain::{
    amount::{Minor, Quantity},
    ids::{AdjustmentId, AlertId, CustomerId, IngredientId, MerchantId, OrderId, ProductId},
    money::Currency,
    pantry::Shortfall,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::topics::{self, Topic};

/// Something that happened, of which a topic holds the record.
pub trait Event: Serialize + DeserializeOwned + Send + 'static {
    /// The topic that holds it.
    const TOPIC: &'static Topic;

    /// Whose it is: the record's key.
    fn merchant(&self) -> MerchantId;
}

/// A moment, in microseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

/// So many of one product, at the price it had then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// What is ordered.
    pub product_id: ProductId,
    /// How many.
    pub quantity: i32,
    /// Price of one.
    pub unit_price_minor: Minor,
}

/// An order was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCreated {
    /// Which order.
    pub order_id: OrderId,
    /// Whose order it is.
    pub merchant_id: MerchantId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// Where the customer can be written to.
    pub customer_email: Option<String>,
    /// Of every price in this order.
    pub currency: Currency,
    /// What is ordered.
    pub lines: Vec<OrderLine>,
    /// Sum over the lines.
    pub total_minor: Minor,
    /// When the order was accepted.
    pub placed_at: Micros,
    /// What the client asked for, where it sent an `Idempotency-Key`.
    #[serde(default)]
    pub request_hash: Option<i64>,
}

/// Why somebody changed the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjustmentKind {
    /// Something came in.
    Restock,
    /// Something went bad or was lost.
    Waste,
    /// Somebody counted.
    Recount,
}

impl AdjustmentKind {
    /// The word for it in the database and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restock => "restock",
            Self::Waste => "waste",
            Self::Recount => "recount",
        }
    }
}

/// Somebody changed what lies on the shelf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockAdjusted {
    /// Which change.
    pub adjustment_id: AdjustmentId,
    /// Whose stock it is.
    pub merchant_id: MerchantId,
    /// What was changed.
    pub ingredient_id: IngredientId,
    /// Why it changed.
    pub kind: AdjustmentKind,
    /// Restock and waste: by how much, negative for waste.
    pub amount: Option<i64>,
    /// Recount: what lies on the shelf.
    pub level: Option<i64>,
    /// What the merchant said of it.
    pub reason: String,
    /// When the change was accepted.
    pub adjusted_at: Micros,
}

/// So much of one ingredient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// Of which.
    pub ingredient_id: IngredientId,
    /// How much.
    pub amount: Quantity,
}

/// The ingredients of an order are set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockReserved {
    /// Which order.
    pub order_id: OrderId,
    /// Whose order it is.
    pub merchant_id: MerchantId,
    /// What the order takes, summed per ingredient.
    pub demand: Vec<Demand>,
    /// What is to be paid by card.
    pub amount_due_minor: Minor,
    /// Of the amount due.
    pub currency: Currency,
    /// Until when it must be paid.
    pub deadline: Option<Micros>,
    /// When it was decided.
    pub reserved_at: Micros,
}

/// An order was refused and nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockRejected {
    /// Which order.
    pub order_id: OrderId,
    /// Whose order it is.
    pub merchant_id: MerchantId,
    /// `insufficient_stock`, `unknown_product` or `demand_out_of_range`.
    pub reason: String,
    /// Everything the order lacks.
    pub shortfalls: Vec<Shortfall>,
    /// When it was decided.
    pub rejected_at: Micros,
}

/// An order is final: its ingredients are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderConfirmed {
    /// Which order.
    pub order_id: OrderId,
    /// Whose order it is.
    pub merchant_id: MerchantId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// Where the customer can be written to.
    pub customer_email: Option<String>,
    /// What it cost.
    pub total_minor: Minor,
    /// Of the total.
    pub currency: Currency,
    /// When it became final.
    pub confirmed_at: Micros,
}

/// A reserved order came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancelled {
    /// Which order.
    pub order_id: OrderId,
    /// Whose order it is.
    pub merchant_id: MerchantId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// Where the customer can be written to.
    pub customer_email: Option<String>,
    /// `declined` or `expired`.
    pub reason: String,
    /// When it became final.
    pub cancelled_at: Micros,
}

/// An ingredient fell below its threshold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Which crossing.
    pub alert_id: AlertId,
    /// Whose ingredient it is.
    pub merchant_id: MerchantId,
    /// What the merchant is called.
    pub merchant_name: String,
    /// What runs low.
    pub ingredient_id: IngredientId,
    /// What the merchant calls it.
    pub ingredient_name: String,
    /// Base unit of every amount here.
    pub unit: String,
    /// What was available before the change that crossed.
    pub level_before: Quantity,
    /// What is available after it.
    pub level_after: Quantity,
    /// What a full store of it is.
    pub full_level: Quantity,
    /// Share of the full level below which it is low, in percent.
    pub threshold_pct: i32,
    /// Who is to be told.
    pub recipients: Vec<String>,
    /// When it fell below.
    pub raised_at: Micros,
}

macro_rules! keyed_by_merchant {
    ($($event:ident => $topic:ident),+ $(,)?) => {$(
        impl Event for $event {
            const TOPIC: &'static Topic = &topics::$topic;

            fn merchant(&self) -> MerchantId {
                self.merchant_id
            }
        }
    )+};
}

keyed_by_merchant! {
    OrderCreated => ORDER_CREATED,
    StockAdjusted => STOCK_ADJUSTED,
    StockReserved => STOCK_RESERVED,
    StockRejected => STOCK_REJECTED,
    OrderConfirmed => ORDER_CONFIRMED,
    OrderCancelled => ORDER_CANCELLED,
    Notify => NOTIFY,
}
