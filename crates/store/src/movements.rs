//! Changes of stock that are not orders: how each one ended. Written by the stock-processor.

use domain::ids::{AdjustmentId, IngredientId, MerchantId};
use schemas::events::Micros;

use crate::{database::Database, error::StoreError, moment::micros};

/// A change that was applied or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Of what.
    pub ingredient_id: IngredientId,
    /// `initial`, `restock`, `waste` or `recount`.
    pub kind: String,
    /// What it changed the stock by; nothing where it was refused.
    pub amount: Option<i64>,
    /// What that came to; nothing where it was refused.
    pub on_hand: Option<i64>,
    /// Why it was refused, for programs.
    pub refusal: Option<String>,
    /// Why it was refused, for people.
    pub refusal_detail: Option<String>,
    /// What the merchant said of it.
    pub reason: String,
    /// When it was accepted.
    pub requested_at: Micros,
    /// When it was decided.
    pub decided_at: Micros,
}

/// The merchant's change of this id, once it is decided.
pub async fn find(
    database: &Database,
    merchant: MerchantId,
    adjustment: AdjustmentId,
) -> Result<Option<Movement>, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT ingredient_id, kind, amount, on_hand, refusal, refusal_detail, reason, requested_at, decided_at
        FROM stock_movements
        WHERE merchant_id = $1 AND movement_id = $2
        "#,
        merchant.get(),
        adjustment.get()
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| Movement {
        ingredient_id: IngredientId::new(row.ingredient_id),
        kind: row.kind,
        amount: row.amount,
        on_hand: row.on_hand,
        refusal: row.refusal,
        refusal_detail: row.refusal_detail,
        reason: row.reason,
        requested_at: micros(row.requested_at),
        decided_at: micros(row.decided_at),
    }))
}
