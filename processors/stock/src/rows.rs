//! The rows that a batch of decisions comes to.

use std::collections::{HashMap, HashSet};

use domain::{
    ids::{AlertId, IngredientId, MerchantId},
    pantry::Crossing,
};
use schemas::events::Micros;
use store::{
    StoreError,
    alerts::{AlertRow, Labels, labels},
    batch::{Batch, DeadLetterRow, MovementRow, OrderOutcome, OrderRow},
    shards::ShardRow,
    shelves::ShelfChanges,
};
use uuid::Uuid;

use crate::{
    decide::Decision,
    item::{Content, Item},
    worker::{Worker, in_time},
};

impl Worker {
    /// The alert rows of each item's crossings.
    pub(crate) async fn alerts(
        &mut self,
        items: &[Item],
        crossings: Vec<(usize, Crossing)>,
        now: Micros,
    ) -> Result<Vec<Vec<AlertRow>>, StoreError> {
        let mut rows: Vec<Vec<AlertRow>> = items.iter().map(|_| Vec::new()).collect();
        if crossings.is_empty() {
            return Ok(rows);
        }
        let of = |(at, crossing): &(usize, Crossing)| Some((items[*at].merchant()?, crossing.ingredient));
        let asked: HashSet<(MerchantId, IngredientId)> = crossings.iter().filter_map(of).collect();
        let asked: Vec<_> = asked.into_iter().collect();
        let found: HashMap<(MerchantId, IngredientId), Labels> = in_time(labels(self.connection().await?, &asked))
            .await?
            .into_iter()
            .collect();
        for crossing in crossings {
            let Some(key) = of(&crossing) else { continue };
            let (at, crossing) = crossing;
            let labels = found.get(&key).cloned().ok_or_else(|| {
                StoreError::Conflict(format!(
                    "ingredient {} of merchant {} is not in the catalogue any more",
                    key.1, key.0
                ))
            })?;
            rows[at].push(alert_row(
                &items[at],
                &crossing,
                key.0,
                labels,
                self.shared.names.topic(items[at].record.source.topic()),
                now,
            ));
        }
        Ok(rows)
    }

    pub(crate) fn batch<'a>(
        &self,
        items: &'a [Item],
        decisions: &'a [Decision],
        alerts: &[Vec<AlertRow>],
        shards: Vec<ShardRow>,
        now: Micros,
    ) -> Batch<'a> {
        let mut stock = ShelfChanges::default();
        for shard in shards.iter().filter_map(|row| self.shards.get(&row.shard)) {
            shard.changes(&mut stock);
        }
        let mut batch = Batch {
            shards,
            stock,
            alerts: alerts.concat(),
            ..Batch::default()
        };
        for (item, decision) in items.iter().zip(decisions) {
            let (partition, offset) = (item.record.partition, item.record.offset);
            let outcome = match decision {
                Decision::Accepted(demand) => OrderOutcome::Confirmed(demand),
                Decision::Rejected(reason, shortfalls) => OrderOutcome::Rejected(reason, shortfalls),
                Decision::Moved(movement) => {
                    batch.movements.push(MovementRow::clone(movement));
                    continue;
                }
                Decision::DeadLetter { reason, detail } => {
                    batch.dead_letters.push(DeadLetterRow {
                        topic: self.shared.names.topic(item.record.source.topic()),
                        partition,
                        offset,
                        reason: (*reason).to_owned(),
                        detail: printable(detail),
                        found_at: now,
                    });
                    continue;
                }
                Decision::Nothing => continue,
            };
            if let Content::Order(order) = &item.content {
                batch.orders.push(OrderRow {
                    order,
                    outcome,
                    decided_at: now,
                    partition,
                    offset,
                });
            }
        }
        batch
    }
}

fn alert_row(
    item: &Item,
    crossing: &Crossing,
    merchant: MerchantId,
    labels: Labels,
    source_topic: String,
    now: Micros,
) -> AlertRow {
    let cause = match &item.content {
        Content::Order(order) => order.order_id.get(),
        Content::Adjustment(adjustment, _) => adjustment.adjustment_id.get(),
        Content::Duplicate | Content::Poison { .. } => Uuid::nil(),
    };
    AlertRow {
        merchant,
        // One cause lowers one ingredient once.
        id: AlertId::new(Uuid::new_v5(&cause, &crossing.ingredient.get().to_be_bytes())),
        ingredient: crossing.ingredient,
        labels,
        level_before: crossing.before,
        level_after: crossing.after,
        full_level: crossing.threshold.full_level,
        threshold_pct: crossing.threshold.percent,
        raised_at: now,
        source_topic,
        source_partition: item.record.partition,
        source_offset: item.record.offset,
    }
}

/// Postgres holds no NUL in a text.
fn printable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
