//! Orders as they were decided: one row each, read by whoever placed them.

use domain::{
    amount::{Minor, Quantity},
    ids::{CustomerId, IngredientId, MerchantId, OrderId, ProductId},
    money::Currency,
    order::Status,
    pantry::Shortfall,
};
use schemas::events::{Micros, OrderLine};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{database::Database, error::StoreError, longs, moment::micros};

/// An order with its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which.
    pub id: OrderId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// Of every price.
    pub currency: Currency,
    /// What is ordered.
    pub lines: Vec<OrderLine>,
    /// Sum over the lines.
    pub total_minor: Minor,
    /// Where it stands; never pending, for a pending order has no row.
    pub status: Status,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// What it lacked.
    pub shortfalls: Vec<Shortfall>,
    /// What the client asked for, where it sent an `Idempotency-Key`.
    pub request_hash: Option<i64>,
    /// When it was accepted.
    pub placed_at: Micros,
    /// When it was decided.
    pub decided_at: Micros,
}

/// The merchant's order of this id, once it is decided.
pub async fn find(database: &Database, merchant: MerchantId, order: OrderId) -> Result<Option<Order>, StoreError> {
    Ok(find_all(database, &[(merchant, order)]).await?.pop())
}

/// Those of these orders that are decided, in any order.
pub async fn find_all(database: &Database, orders: &[(MerchantId, OrderId)]) -> Result<Vec<Order>, StoreError> {
    let (merchants, ids): (Vec<i64>, Vec<Uuid>) = orders
        .iter()
        .map(|(merchant, order)| (merchant.get(), order.get()))
        .unzip();
    // Lateral and limited, so that each is one look into the index of one partition, however many are asked for.
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT found.merchant_id, found.order_id, found.customer_id, found.currency, found.total_minor, found.status,
            found.reason, found.lines, found.shortfalls, found.request_hash, found.placed_at, found.decided_at
        FROM unnest($1::int8[], $2::uuid[]) AS asked (merchant_id, order_id)
        CROSS JOIN LATERAL (
            SELECT * FROM orders WHERE orders.merchant_id = asked.merchant_id AND orders.order_id = asked.order_id LIMIT 1
        ) AS found
        "#,
        &merchants,
        &ids
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter().map(Order::try_from).collect()
}

struct Row {
    merchant_id: i64,
    order_id: Uuid,
    customer_id: i64,
    currency: String,
    total_minor: i64,
    status: String,
    reason: Option<String>,
    lines: Vec<u8>,
    shortfalls: Vec<u8>,
    request_hash: Option<i64>,
    placed_at: OffsetDateTime,
    decided_at: OffsetDateTime,
}

impl TryFrom<Row> for Order {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let id = OrderId::new(row.order_id);
        let out_of_shape = |what: &str| StoreError::Conflict(format!("order {id} has a {what} out of shape"));
        Ok(Self {
            id,
            merchant_id: MerchantId::new(row.merchant_id),
            customer_id: CustomerId::new(row.customer_id),
            currency: Currency::parse(&row.currency).map_err(|_| out_of_shape("currency"))?,
            lines: longs::unpacked(&row.lines)
                .as_deref()
                .and_then(lines)
                .ok_or_else(|| out_of_shape("line"))?,
            total_minor: Minor::new(row.total_minor).map_err(|_| out_of_shape("total"))?,
            status: Status::from_word(&row.status).ok_or_else(|| out_of_shape("status"))?,
            reason: row.reason,
            shortfalls: longs::unpacked(&row.shortfalls)
                .as_deref()
                .and_then(shortfalls)
                .ok_or_else(|| out_of_shape("shortfall"))?,
            request_hash: row.request_hash,
            placed_at: micros(row.placed_at),
            decided_at: micros(row.decided_at),
        })
    }
}

/// Lines out of their integers: product, quantity, unit price, …
fn lines(flat: &[i64]) -> Option<Vec<OrderLine>> {
    let (lines, []) = flat.as_chunks() else { return None };
    lines
        .iter()
        .map(|&[product, quantity, price]| {
            Some(OrderLine {
                product_id: ProductId::new(product),
                quantity: quantity.try_into().ok()?,
                unit_price_minor: Minor::new(price).ok()?,
            })
        })
        .collect()
}

/// Shortfalls out of their integers: ingredient, needed, available, …
fn shortfalls(flat: &[i64]) -> Option<Vec<Shortfall>> {
    let (shortfalls, []) = flat.as_chunks() else {
        return None;
    };
    shortfalls
        .iter()
        .map(|&[ingredient, needed, available]| {
            Some(Shortfall {
                ingredient_id: IngredientId::new(ingredient),
                needed: Quantity::new(needed).ok()?,
                available: Quantity::new(available).ok()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_to_whole_lines_only() {
        assert_eq!(lines(&[7, 2, 250]).unwrap()[0].quantity, 2);
        assert_eq!(lines(&[]), Some(Vec::new()));
        assert_eq!(lines(&[7, 2]), None);
        assert_eq!(lines(&[7, 2, -1]), None);
        assert_eq!(shortfalls(&[3, 20, 10]).unwrap()[0].needed, Quantity::new(20).unwrap());
        assert_eq!(shortfalls(&[3, 20, 10, 4]), None);
    }
}
