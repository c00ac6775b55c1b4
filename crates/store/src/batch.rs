//! What the stock-processor writes: everything a batch of records comes to, in one transaction.

use domain::{
    amount::Quantity,
    ids::{AdjustmentId, IngredientId, MerchantId},
};
use schemas::events::Micros;
use sqlx::{Connection as _, PgConnection, types::Uuid};

pub use crate::order_rows::{OrderOutcome, OrderRow};
use crate::{
    alerts::{self, AlertRow},
    error::StoreError,
    moment, order_rows,
    shards::{self, ShardRow},
    shelves::{self, ShelfChanges},
};

/// A change of stock that was not an order, carried out or refused.
#[derive(Clone, Debug)]
pub struct MovementRow {
    /// Whose.
    pub merchant: MerchantId,
    /// Which.
    pub id: AdjustmentId,
    /// Of which ingredient.
    pub ingredient: IngredientId,
    /// `restock`, `waste`, `recount`.
    pub kind: &'static str,
    /// By how much the level changed and what it came to, or why it did not.
    pub result: Result<(i64, Quantity), (&'static str, String)>,
    /// What the merchant said of it.
    pub reason: String,
    /// When it was asked for.
    pub requested_at: Micros,
    /// When it was decided.
    pub decided_at: Micros,
    /// Where in `stock_adjusted` it stands.
    pub partition: i32,
    /// Where in the partition.
    pub offset: i64,
}

/// A record that cannot be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterRow {
    /// The topic's name in Kafka.
    pub topic: String,
    /// Where on the topic.
    pub partition: i32,
    /// Where in the partition.
    pub offset: i64,
    /// A word for programs.
    pub reason: String,
    /// A sentence for people.
    pub detail: String,
    /// When it was found.
    pub found_at: Micros,
}

/// Everything a batch comes to.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// The shards as they are read, with the progress they are to have.
    pub shards: Vec<ShardRow>,
    /// Net, one per shelf.
    pub stock: ShelfChanges,
    /// Every order decided.
    pub orders: Vec<OrderRow<'a>>,
    /// Every other change of stock.
    pub movements: Vec<MovementRow>,
    /// Every crossing.
    pub alerts: Vec<AlertRow>,
    /// Every record put aside.
    pub dead_letters: Vec<DeadLetterRow>,
}

/// Writes a batch, all of it or nothing.
pub async fn apply(connection: &mut PgConnection, batch: &Batch<'_>) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    // First the shard rows: whoever lost a shard stops here, before it locks any stock.
    shards::advance(&mut transaction, &batch.shards).await?;
    if !batch.stock.is_empty() {
        shelves::change(&mut transaction, &batch.stock).await?;
    }
    order_rows::write(&mut transaction, &batch.orders).await?;
    for movement in &batch.movements {
        insert_movement(&mut transaction, movement).await?;
    }
    for alert in &batch.alerts {
        alerts::insert(&mut transaction, alert).await?;
    }
    for letter in &batch.dead_letters {
        insert_dead_letter(&mut transaction, letter).await?;
    }
    Ok(transaction.commit().await?)
}

async fn insert_movement(connection: &mut PgConnection, row: &MovementRow) -> Result<(), StoreError> {
    let done = row.result.as_ref().ok();
    let refused = row.result.as_ref().err();
    sqlx::query!(
        "INSERT INTO stock_movements (merchant_id, movement_id, ingredient_id, kind, amount, on_hand, refusal, refusal_detail,
                                      reason, requested_at, decided_at, source_partition, source_offset)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        row.merchant.get(),
        row.id.get(),
        row.ingredient.get(),
        row.kind,
        done.map(|(amount, _)| *amount),
        done.map(|(_, on_hand)| on_hand.get()),
        refused.map(|(reason, _)| *reason),
        refused.map(|(_, detail)| detail.as_str()),
        row.reason,
        moment::of(row.requested_at)?,
        moment::of(row.decided_at)?,
        row.partition,
        row.offset,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_dead_letter(connection: &mut PgConnection, row: &DeadLetterRow) -> Result<(), StoreError> {
    // The same offset again: the topic was made anew and an operator accepted that. The newest is what counts.
    sqlx::query!(
        r#"INSERT INTO dead_letters (topic, partition, "offset", reason, detail, found_at)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (topic, partition, "offset") DO UPDATE SET reason = $4, detail = $5, found_at = $6"#,
        row.topic,
        row.partition,
        row.offset,
        row.reason,
        row.detail,
        moment::of(row.found_at)?,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Which of these orders are already there.
pub async fn known_orders(
    connection: &mut PgConnection,
    orders: &[(i64, Uuid)],
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    let (merchants, ids): (Vec<i64>, Vec<Uuid>) = orders.iter().copied().unzip();
    let rows = sqlx::query!(
        "SELECT o.merchant_id, o.order_id
         FROM unnest($1::int8[], $2::uuid[]) AS u (merchant_id, order_id)
         JOIN orders o ON o.merchant_id = u.merchant_id AND o.order_id = u.order_id",
        &merchants,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.merchant_id, row.order_id)).collect())
}

/// Which of these adjustments are already there.
pub async fn known_movements(
    connection: &mut PgConnection,
    movements: &[(i64, Uuid)],
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    let (merchants, ids): (Vec<i64>, Vec<Uuid>) = movements.iter().copied().unzip();
    let rows = sqlx::query!(
        "SELECT s.merchant_id, s.movement_id
         FROM unnest($1::int8[], $2::uuid[]) AS u (merchant_id, movement_id)
         JOIN stock_movements s ON s.merchant_id = u.merchant_id AND s.movement_id = u.movement_id",
        &merchants,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.merchant_id, row.movement_id)).collect())
}
