//! What was decided of orders and records before: read to tell it again, never to decide again.

use std::collections::HashMap;

use domain::{
    ids::{IngredientId, MerchantId, OrderId},
    pantry::Shortfall,
};
use schemas::events::{Demand, Micros};
use sqlx::{PgConnection, types::Uuid};

use crate::{alerts::quantity, batch::DeadLetterRow, error::StoreError, longs, moment};

/// The stored outcome of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOutcome {
    /// Why it was rejected; none where it was confirmed.
    pub rejected: Option<String>,
    /// What it took.
    pub demand: Vec<Demand>,
    /// What it lacked.
    pub shortfalls: Vec<Shortfall>,
    /// When it was decided.
    pub decided_at: Micros,
    /// Which record of `order_created` it came by.
    pub source: (i32, i64),
}

/// The outcomes of these orders, by merchant and order.
pub async fn stored(
    connection: &mut PgConnection,
    orders: &[(i64, Uuid)],
) -> Result<HashMap<(MerchantId, OrderId), StoredOutcome>, StoreError> {
    let (merchants, ids): (Vec<i64>, Vec<Uuid>) = orders.iter().copied().unzip();
    let rows = sqlx::query!(
        "SELECT o.merchant_id, o.order_id, o.reason, o.demand, o.shortfalls, o.decided_at, o.source_partition, o.source_offset
         FROM unnest($1::int8[], $2::uuid[]) AS u (merchant_id, order_id)
         JOIN orders o ON o.merchant_id = u.merchant_id AND o.order_id = u.order_id",
        &merchants,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let longs = |packed: &[u8]| {
                longs::unpacked(packed).ok_or_else(|| {
                    StoreError::Conflict(format!("the outcome of order {} is out of shape", row.order_id))
                })
            };
            let (demand, shortfalls) = (longs(&row.demand)?, longs(&row.shortfalls)?);
            let demand = demand.chunks_exact(2).map(|part| {
                Ok(Demand {
                    ingredient_id: IngredientId::new(part[0]),
                    amount: quantity(part[1])?,
                })
            });
            let shortfalls = shortfalls.chunks_exact(3).map(|part| {
                let ingredient_id = IngredientId::new(part[0]);
                Ok(Shortfall {
                    ingredient_id,
                    needed: quantity(part[1])?,
                    available: quantity(part[2])?,
                })
            });
            let outcome = StoredOutcome {
                rejected: row.reason,
                demand: demand.collect::<Result<_, StoreError>>()?,
                shortfalls: shortfalls.collect::<Result<_, StoreError>>()?,
                decided_at: moment::micros(row.decided_at),
                source: (row.source_partition, row.source_offset),
            };
            Ok(((MerchantId::new(row.merchant_id), OrderId::new(row.order_id)), outcome))
        })
        .collect()
}

/// The records of one partition that were put aside; `from` and `to` bound the offsets, `to` excluded.
pub async fn dead_letters(
    connection: &mut PgConnection,
    (topic, partition): (&str, i32),
    (from, to): (i64, i64),
) -> Result<Vec<DeadLetterRow>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT "offset", reason, detail, found_at FROM dead_letters
           WHERE topic = $1 AND partition = $2 AND "offset" >= $3 AND "offset" < $4"#,
        topic,
        partition,
        from,
        to,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| DeadLetterRow {
            topic: topic.to_owned(),
            partition,
            offset: row.offset,
            reason: row.reason,
            detail: row.detail,
            found_at: moment::micros(row.found_at),
        })
        .collect())
}
