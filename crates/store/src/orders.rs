//! Orders as they were decided: one row each, read by whoever placed them.

use domain::{
    amount::{Minor, Quantity},
    ids::{CustomerId, IngredientId, MerchantId, OrderId, ProductId},
    money::Currency,
    order::Status,
    pantry::Shortfall,
};
use schemas::events::{Micros, OrderLine};

use crate::{database::Database, error::StoreError, moment::micros};

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
    let row = sqlx::query!(
        r#"
        SELECT customer_id, currency, total_minor, status, reason, lines, shortfalls, request_hash, placed_at, decided_at
        FROM orders
        WHERE merchant_id = $1 AND order_id = $2
        "#,
        merchant.get(),
        order.get()
    )
    .fetch_optional(database.pool())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let out_of_shape = |what: &str| StoreError::Conflict(format!("order {order} has a {what} out of shape"));
    Ok(Some(Order {
        id: order,
        merchant_id: merchant,
        customer_id: CustomerId::new(row.customer_id),
        currency: Currency::parse(&row.currency).map_err(|_| out_of_shape("currency"))?,
        lines: lines(&row.lines).ok_or_else(|| out_of_shape("line"))?,
        total_minor: Minor::new(row.total_minor).map_err(|_| out_of_shape("total"))?,
        status: Status::from_word(&row.status).ok_or_else(|| out_of_shape("status"))?,
        reason: row.reason,
        shortfalls: shortfalls(&row.shortfalls).ok_or_else(|| out_of_shape("shortfall"))?,
        request_hash: row.request_hash,
        placed_at: micros(row.placed_at),
        decided_at: micros(row.decided_at),
    }))
}

/// Lines out of their flat array: product, quantity, unit price, …
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

/// Shortfalls out of their flat array: ingredient, needed, available, …
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
    fn a_flat_array_holds_whole_lines_only() {
        assert_eq!(lines(&[7, 2, 250]).unwrap()[0].quantity, 2);
        assert_eq!(lines(&[]), Some(Vec::new()));
        assert_eq!(lines(&[7, 2]), None);
        assert_eq!(lines(&[7, 2, -1]), None);
        assert_eq!(shortfalls(&[3, 20, 10]).unwrap()[0].needed, Quantity::new(20).unwrap());
        assert_eq!(shortfalls(&[3, 20, 10, 4]), None);
    }
}
