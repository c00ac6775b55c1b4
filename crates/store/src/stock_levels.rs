//! What a merchant has in stock, read by whoever asks; written by the stock-processor alone.

use domain::{
    amount::Quantity,
    ids::{IngredientId, MerchantId},
    pantry::Stock,
    threshold::Threshold,
};

use crate::{database::Database, error::StoreError};

/// One ingredient and how much of it there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockLevel {
    /// Which.
    pub ingredient_id: IngredientId,
    /// The merchant's own name for it.
    pub reference: Option<String>,
    /// What people call it.
    pub name: String,
    /// Of every amount.
    pub unit: String,
    /// When it is low.
    pub threshold: Threshold,
    /// How much there is.
    pub stock: Stock,
}

/// Every ingredient of the merchant, in order of their ids.
pub async fn list(database: &Database, merchant: MerchantId) -> Result<Vec<StockLevel>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT ingredient_id, reference, name, unit, full_level, threshold_pct,
               on_hand AS "on_hand!", reserved AS "reserved!", alert_armed AS "alert_armed!"
        FROM ingredients
        JOIN stock USING (merchant_id, ingredient_id)
        WHERE merchant_id = $1
        ORDER BY ingredient_id
        "#,
        merchant.get()
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let amount = |amount| {
                Quantity::new(amount).map_err(|_| {
                    StoreError::Conflict(format!("the stock of ingredient {} is out of range", row.ingredient_id))
                })
            };
            Ok(StockLevel {
                ingredient_id: IngredientId::new(row.ingredient_id),
                threshold: Threshold {
                    full_level: amount(row.full_level)?,
                    percent: row.threshold_pct,
                },
                stock: Stock {
                    on_hand: amount(row.on_hand)?,
                    reserved: amount(row.reserved)?,
                    alert_armed: row.alert_armed,
                },
                reference: row.reference,
                name: row.name,
                unit: row.unit,
            })
        })
        .collect()
}
