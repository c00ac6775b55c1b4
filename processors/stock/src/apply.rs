//! A batch: decided in memory, written in one transaction, then handed to the publisher.
//!
//! What Postgres refuses for its data is bisected until the one record is alone, and that is put aside. What fails
//! for any other reason is resolved by reading the shard rows: they say whether the transaction took place.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use domain::{
    ids::{AlertId, IngredientId, MerchantId},
    pantry::Crossing,
};
use schemas::events::Micros;
use store::{
    StoreError,
    alerts::{AlertRow, Labels, labels},
    batch::{self, Batch, DeadLetterRow, MovementRow, OrderOutcome, OrderRow},
    pantries,
    shards::{self, ShardRow},
};
use stream::consume::chain;
use tracing::{error, warn};
use uuid::Uuid;

use crate::{
    assignment::Stop,
    decide::{Decision, decide},
    item::{Content, Item},
    publish::{Mark, Told, What},
    shard::Shard,
    source::Source,
    worker::{Abandoned, Pauses, Worker},
};

/// What each record of a batch came to and the alerts it raised, and when that was decided.
struct Decided {
    each: Vec<(Decision, Vec<AlertRow>)>,
    at: Micros,
}

/// Why a batch is not written.
enum Failure {
    /// Some record's data is to blame.
    Refused { detail: String, duplicate: bool },
    /// It may succeed later, perhaps without the shards that were lost.
    Later(StoreError),
    /// The poller wants something else.
    Abandoned,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Later(error)
    }
}

impl Worker {
    /// Applies records, in order, in as few transactions as it takes.
    pub(crate) async fn apply(&mut self, items: Vec<Item>) -> Result<(), Abandoned> {
        let mut pauses = Pauses::default();
        // Only a client that names its orders sends them again much later.
        let mut chunks = vec![(items, Some(OrdersToCheck::Keyed))];
        while let Some((mut items, check)) = chunks.pop() {
            items.retain(|item| self.shards.contains_key(&item.record.partition));
            if items.is_empty() {
                continue;
            }
            let result = match self.mark_duplicates(&mut items, check).await {
                Ok(()) => self.attempt(&items).await,
                Err(error) => Err(Failure::Later(error)),
            };
            match result {
                Ok(decided) => {
                    self.hand_over(items, decided).await;
                    pauses = Pauses::default();
                }
                Err(Failure::Refused { duplicate: true, .. }) if check != Some(OrdersToCheck::All) => {
                    chunks.push((items, Some(OrdersToCheck::All)));
                }
                Err(Failure::Refused { detail, .. }) => {
                    if let [one] = items.as_mut_slice() {
                        one.content = Content::Poison {
                            reason: "refused",
                            detail,
                        };
                    } else {
                        let second = items.split_off(items.len() / 2);
                        chunks.push((second, None));
                    }
                    chunks.push((items, None));
                }
                Err(Failure::Later(error)) => {
                    error!(error = %chain(&error), records = items.len(), "cannot apply a batch: will try again");
                    self.disconnect();
                    self.pause(&mut pauses).await?;
                    chunks.push((items, check));
                }
                Err(Failure::Abandoned) => return Err(Abandoned),
            }
        }
        Ok(())
    }

    /// Decides and writes. On failure the stock in memory is as before, or forgotten.
    async fn attempt(&mut self, items: &[Item]) -> Result<Decided, Failure> {
        let timer = self.shared.metrics.apply_seconds.start_timer();
        self.load(items).await?;
        let now = now();
        let (decisions, crossings) = self.decide(items, now);
        let rows = self.rows_after(items);
        let alerts = match self.alerts(items, crossings, now).await {
            Ok(alerts) => alerts,
            Err(error) => {
                self.undo(&rows);
                return Err(error.into());
            }
        };
        let batch = self.batch(items, &decisions, &alerts, rows.clone(), now);
        let result = match self.connection().await {
            Ok(connection) => batch::apply(connection, &batch).await,
            Err(error) => Err(error),
        };
        drop(batch);
        match result {
            Ok(()) => {}
            Err(error) if error.is_refusal() => {
                self.undo(&rows);
                timer.stop_and_discard();
                let duplicate = matches!(error, StoreError::Duplicate { .. });
                return Err(Failure::Refused {
                    detail: chain(&error),
                    duplicate,
                });
            }
            Err(error) => {
                if matches!(error, StoreError::Conflict(_)) {
                    self.shared.metrics.conflicts.inc();
                }
                for row in &rows {
                    self.shards.get_mut(&row.shard).into_iter().for_each(Shard::forget_all);
                }
                self.disconnect();
                if !self.resolve(&rows).await.map_err(|Abandoned| Failure::Abandoned)? {
                    return Err(error.into());
                }
                warn!(error = %chain(&error), "the batch was written although the answer was lost");
                self.count(&decisions, &alerts);
                return Ok(Decided {
                    each: decisions.into_iter().zip(alerts).collect(),
                    at: now,
                });
            }
        }
        let most = self.most_cached();
        for row in rows {
            if let Some(shard) = self.shards.get_mut(&row.shard) {
                shard.settle(most);
                shard.written(row);
            }
        }
        self.shared
            .metrics
            .batch_records
            .observe(f64::from(u32::try_from(items.len()).unwrap_or(u32::MAX)));
        timer.observe_duration();
        self.count(&decisions, &alerts);
        Ok(Decided {
            each: decisions.into_iter().zip(alerts).collect(),
            at: now,
        })
    }

    /// Whether a transaction whose end is not known took place: the shard rows tell. Shards that somebody else owns
    /// now are given up.
    pub(crate) async fn resolve(&mut self, rows: &[ShardRow]) -> Result<bool, Abandoned> {
        let numbers: Vec<i32> = rows.iter().map(|row| row.shard).collect();
        let mut pauses = Pauses::default();
        let found = loop {
            match shards::read(&self.shared.database, &numbers).await {
                Ok(found) => break found,
                Err(error) => {
                    error!(error = %chain(&error), "cannot read the shard rows: will try again");
                    self.pause(&mut pauses).await?;
                }
            }
        };
        let mut written = false;
        for row in rows {
            match found.iter().find(|found| found.shard == row.shard) {
                Some(found) if found.owner == row.owner && found.version == row.version + 1 => {
                    written = true;
                    if let Some(shard) = self.shards.get_mut(&row.shard) {
                        shard.written(row.clone());
                    }
                }
                Some(found) if found.owner == row.owner && found.version == row.version => {}
                _ => self.stop(row.shard, Stop::Lost),
            }
        }
        Ok(written)
    }

    /// Reads the pantries that the items need and that are not in memory.
    async fn load(&mut self, items: &[Item]) -> Result<(), StoreError> {
        let mut missing: HashMap<MerchantId, i32> = HashMap::new();
        for item in items {
            let Some(merchant) = item.merchant() else { continue };
            let Some(shard) = self.shards.get(&item.record.partition) else {
                continue;
            };
            let products = match &item.content {
                Content::Order(order) => order.lines.as_slice(),
                _ => &[],
            };
            if !shard.has(merchant, products.iter().map(|line| line.product_id)) {
                missing.insert(merchant, item.record.partition);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let asked: Vec<i64> = missing.keys().map(|merchant| merchant.get()).collect();
        let found = pantries::load(self.connection().await?, &asked).await?;
        for (merchant, pantry) in found {
            if let Some(shard) = missing.get(&merchant).and_then(|number| self.shards.get_mut(number)) {
                shard.keep(merchant, pantry);
            }
        }
        Ok(())
    }

    fn decide(&mut self, items: &[Item], now: Micros) -> (Vec<Decision>, Vec<(usize, Crossing)>) {
        let mut decisions = Vec::with_capacity(items.len());
        let mut crossings = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let shard = self
                .shards
                .get_mut(&item.record.partition)
                .expect("items of other shards were left out");
            let (decision, crossed) = decide(item, shard, now);
            crossings.extend(crossed.into_iter().map(|crossing| (at, crossing)));
            decisions.push(decision);
        }
        (decisions, crossings)
    }

    /// The shard rows as they are to be after these items.
    fn rows_after(&self, items: &[Item]) -> Vec<ShardRow> {
        let mut by_shard: BTreeMap<i32, Vec<&Item>> = BTreeMap::new();
        for item in items {
            by_shard.entry(item.record.partition).or_default().push(item);
        }
        let rows = by_shard.into_iter().filter_map(|(number, items)| {
            let shard = self.shards.get(&number)?;
            Some(shard.row_after(items.into_iter().map(|item| &item.record)))
        });
        rows.collect()
    }

    fn undo(&mut self, rows: &[ShardRow]) {
        for row in rows {
            if let Some(shard) = self.shards.get_mut(&row.shard) {
                shard.undo();
            }
        }
    }

    /// The alert rows of each item's crossings.
    async fn alerts(
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
        let found: HashMap<(MerchantId, IngredientId), Labels> =
            labels(self.connection().await?, &asked).await?.into_iter().collect();
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

    fn batch<'a>(
        &self,
        items: &'a [Item],
        decisions: &'a [Decision],
        alerts: &[Vec<AlertRow>],
        shards: Vec<ShardRow>,
        now: Micros,
    ) -> Batch<'a> {
        let stock = shards
            .iter()
            .filter_map(|row| self.shards.get(&row.shard))
            .flat_map(Shard::changes)
            .collect();
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

    /// Gives what was written to the publisher.
    async fn hand_over(&self, items: Vec<Item>, decided: Decided) {
        let at = decided.at;
        let mut told = Vec::with_capacity(items.len());
        let mut last: HashMap<(i32, Source), i64> = HashMap::new();
        for (item, (decision, alerts)) in items.into_iter().zip(decided.each) {
            last.insert((item.record.partition, item.record.source), item.record.offset + 1);
            let what = match (decision, item.content) {
                (Decision::Accepted(demand), Content::Order(order)) => What::Accepted { order, demand, at },
                (Decision::Rejected(reason, shortfalls), Content::Order(order)) => What::Rejected {
                    order,
                    reason: reason.into(),
                    shortfalls,
                    at,
                },
                (Decision::DeadLetter { reason, detail }, _) => What::DeadLetter {
                    reason: reason.into(),
                    detail,
                },
                (Decision::Moved(_), _) => What::Moved,
                _ => continue,
            };
            told.push(Told {
                record: item.record,
                what,
                alerts,
            });
        }
        let marks = last.into_iter().filter_map(|((number, source), next)| {
            let published = Arc::clone(&self.shards.get(&number)?.published);
            Some(Mark {
                published,
                source,
                shard: number,
                next,
            })
        });
        let then = marks.collect();
        self.publish(told, then).await;
    }

    /// Marks what was applied by an earlier record, here or in the database.
    async fn mark_duplicates(&mut self, items: &mut [Item], check: Option<OrdersToCheck>) -> Result<(), StoreError> {
        let Some(check) = check else { return Ok(()) };
        let mut orders: HashSet<(i64, Uuid)> = HashSet::new();
        let mut movements: HashSet<(i64, Uuid)> = HashSet::new();
        let mut marked = 0;
        for item in &mut *items {
            let is_new = match &item.content {
                Content::Order(order) if check == OrdersToCheck::All || order.order_id.is_keyed() => {
                    orders.insert((order.merchant_id.get(), order.order_id.get()))
                }
                Content::Adjustment(adjustment, _) if check == OrdersToCheck::All => {
                    movements.insert((adjustment.merchant_id.get(), adjustment.adjustment_id.get()))
                }
                _ => true,
            };
            if !is_new {
                item.content = Content::Duplicate;
                marked += 1;
            }
        }
        let known_orders = self.known(&orders, true).await?;
        let known_movements = self.known(&movements, false).await?;
        for item in items {
            let is_known = match &item.content {
                Content::Order(order) => known_orders.contains(&(order.merchant_id.get(), order.order_id.get())),
                Content::Adjustment(adjustment, _) => {
                    known_movements.contains(&(adjustment.merchant_id.get(), adjustment.adjustment_id.get()))
                }
                _ => false,
            };
            if is_known {
                item.content = Content::Duplicate;
                marked += 1;
            }
        }
        self.shared
            .metrics
            .orders
            .with_label_values(&["duplicate"])
            .inc_by(marked);
        Ok(())
    }

    async fn known(&mut self, asked: &HashSet<(i64, Uuid)>, orders: bool) -> Result<HashSet<(i64, Uuid)>, StoreError> {
        if asked.is_empty() {
            return Ok(HashSet::new());
        }
        let asked: Vec<_> = asked.iter().copied().collect();
        let connection = self.connection().await?;
        if orders {
            return Ok(batch::known_orders(connection, &asked).await?.into_iter().collect());
        }
        Ok(batch::known_movements(connection, &asked).await?.into_iter().collect())
    }

    fn count(&self, decisions: &[Decision], alerts: &[Vec<AlertRow>]) {
        let metrics = &self.shared.metrics;
        let mut confirmed = 0;
        for decision in decisions {
            match decision {
                Decision::Accepted(_) => confirmed += 1,
                Decision::Rejected(..) => metrics.orders.with_label_values(&["rejected"]).inc(),
                Decision::Moved(row) => {
                    let result = if row.result.is_ok() { "applied" } else { "refused" };
                    metrics.adjustments.with_label_values(&[result]).inc();
                }
                Decision::DeadLetter { reason, .. } => metrics.dead_letters.with_label_values(&[reason]).inc(),
                Decision::Nothing => {}
            }
        }
        metrics.orders.with_label_values(&["confirmed"]).inc_by(confirmed);
        metrics
            .alerts
            .inc_by(alerts.iter().map(|alerts| alerts.len() as u64).sum());
    }
}

/// Which orders are looked up before they are applied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OrdersToCheck {
    /// Those a client named.
    Keyed,
    /// All: the primary key has found a repeat among them.
    All,
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

fn now() -> Micros {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}
