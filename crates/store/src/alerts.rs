//! Alerts: one row a crossing, holding everything its event says.

use domain::{
    amount::Quantity,
    ids::{AlertId, IngredientId, MerchantId},
};
use schemas::events::Micros;
use sqlx::{PgConnection, types::Uuid};

use crate::{error::StoreError, moment};

/// A crossing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRow {
    /// Whose.
    pub merchant: MerchantId,
    /// Which.
    pub id: AlertId,
    /// Of which ingredient.
    pub ingredient: IngredientId,
    /// What things were called and who was to be told at that time.
    pub labels: Labels,
    /// What was available before.
    pub level_before: Quantity,
    /// What is available after.
    pub level_after: Quantity,
    /// What a full store is.
    pub full_level: Quantity,
    /// Below which share it is low.
    pub threshold_pct: i16,
    /// When.
    pub raised_at: Micros,
    /// The record that did it.
    pub source_topic: String,
    /// Where on the topic that stands.
    pub source_partition: i32,
    /// Where in the partition.
    pub source_offset: i64,
}

/// What the catalogue says of an ingredient for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// What the merchant is called.
    pub merchant_name: String,
    /// What the merchant calls the ingredient.
    pub ingredient_name: String,
    /// Its base unit.
    pub unit: String,
    /// Who is to be told.
    pub recipients: Vec<String>,
}

/// What these ingredients are called now.
pub async fn labels(
    connection: &mut PgConnection,
    ingredients: &[(MerchantId, IngredientId)],
) -> Result<Vec<((MerchantId, IngredientId), Labels)>, StoreError> {
    let (merchants, ids): (Vec<i64>, Vec<i64>) = ingredients
        .iter()
        .map(|(merchant, ingredient)| (merchant.get(), ingredient.get()))
        .unzip();
    let rows = sqlx::query!(
        "SELECT i.merchant_id, i.ingredient_id, i.name AS ingredient_name, i.unit, m.name AS merchant_name, m.alert_recipients
         FROM unnest($1::int8[], $2::int8[]) AS u (merchant_id, ingredient_id)
         JOIN ingredients i ON i.merchant_id = u.merchant_id AND i.ingredient_id = u.ingredient_id
         JOIN merchants m ON m.merchant_id = u.merchant_id",
        &merchants,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let labels = Labels {
                merchant_name: row.merchant_name,
                ingredient_name: row.ingredient_name,
                unit: row.unit,
                recipients: row.alert_recipients,
            };
            (
                (MerchantId::new(row.merchant_id), IngredientId::new(row.ingredient_id)),
                labels,
            )
        })
        .collect())
}

pub(crate) async fn insert(connection: &mut PgConnection, row: &AlertRow) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO alerts (merchant_id, alert_id, ingredient_id, merchant_name, ingredient_name, unit, level_before,
                             level_after, full_level, threshold_pct, recipients, raised_at, source_topic,
                             source_partition, source_offset)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        row.merchant.get(),
        row.id.get(),
        row.ingredient.get(),
        row.labels.merchant_name,
        row.labels.ingredient_name,
        row.labels.unit,
        row.level_before.get(),
        row.level_after.get(),
        row.full_level.get(),
        row.threshold_pct,
        &row.labels.recipients,
        moment::of(row.raised_at)?,
        row.source_topic,
        row.source_partition,
        row.source_offset,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The alerts that records of one partition raised, in the log's order; `from` and `to` bound the offsets, `to` excluded.
pub async fn raised_by(
    connection: &mut PgConnection,
    merchants: &[i64],
    (topic, partition): (&str, i32),
    (from, to): (i64, i64),
) -> Result<Vec<AlertRow>, StoreError> {
    let rows = sqlx::query!(
        "SELECT merchant_id, alert_id, ingredient_id, merchant_name, ingredient_name, unit, level_before, level_after,
                full_level, threshold_pct, recipients, raised_at, source_offset
         FROM alerts
         WHERE merchant_id = ANY($1) AND source_topic = $2 AND source_partition = $3
           AND source_offset >= $4 AND source_offset < $5
         ORDER BY source_offset, ingredient_id",
        merchants,
        topic,
        partition,
        from,
        to,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(AlertRow {
                merchant: MerchantId::new(row.merchant_id),
                id: AlertId::new(Uuid::from_u128(row.alert_id.as_u128())),
                ingredient: IngredientId::new(row.ingredient_id),
                labels: Labels {
                    merchant_name: row.merchant_name,
                    ingredient_name: row.ingredient_name,
                    unit: row.unit,
                    recipients: row.recipients,
                },
                level_before: quantity(row.level_before)?,
                level_after: quantity(row.level_after)?,
                full_level: quantity(row.full_level)?,
                threshold_pct: row.threshold_pct,
                raised_at: moment::micros(row.raised_at),
                source_topic: topic.to_owned(),
                source_partition: partition,
                source_offset: row.source_offset,
            })
        })
        .collect()
}

/// An amount as the domain has it; the tables' checks allow no other.
pub(crate) fn quantity(amount: i64) -> Result<Quantity, StoreError> {
    Quantity::new(amount).map_err(|_| StoreError::Conflict(format!("a row holds {amount}, which is no amount")))
}
