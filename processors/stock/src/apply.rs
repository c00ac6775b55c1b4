//! A batch: decided in memory, written in one transaction, then handed to the publisher.
//!
//! What Postgres refuses for its data is bisected until the one record is alone, and that is put aside. What fails
//! for any other reason is resolved by reading the shard rows: they say whether the transaction took place.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{ids::MerchantId, pantry::Crossing};
use schemas::events::Micros;
use store::{StoreError, alerts::AlertRow, batch, pantries, shards::ShardRow};
use stream::{consume::chain, now};
use tracing::{error, warn};

use crate::{
    decide::{Decision, decide},
    duplicates::OrdersToCheck,
    item::{Content, Item},
    outbox::Outbox,
    publish::Mark,
    shard::Shard,
    told::{Told, What},
    worker::{Abandoned, Pauses, Worker, in_time},
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
    /// It is written, by this attempt or by an earlier one whose answer was lost.
    Written,
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
                Err(Failure::Written) => {
                    self.tell_stored(items).await?;
                    pauses = Pauses::default();
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
                self.forget_shards(&rows);
                return Err(error.into());
            }
        };
        let batch = self.batch(items, &decisions, &alerts, rows.clone(), now);
        let result = match self.connection().await {
            Ok(connection) => in_time(batch::apply(connection, &batch)).await,
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
                self.forget_shards(&rows);
                self.disconnect();
                if !self.resolve(&rows).await.map_err(|Abandoned| Failure::Abandoned)? {
                    return Err(error.into());
                }
                // Not told from memory: an attempt before this one may be the one that was written, and may have
                // decided otherwise.
                warn!(error = %chain(&error), "the batch was written although the answer was lost");
                return Err(Failure::Written);
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
        let found = in_time(pantries::load(self.connection().await?, &asked)).await?;
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

    fn forget_shards(&mut self, rows: &[ShardRow]) {
        for row in rows {
            self.shards.get_mut(&row.shard).into_iter().for_each(Shard::forget_all);
        }
    }

    /// Tells what stands in the database of these records.
    async fn tell_stored(&mut self, items: Vec<Item>) -> Result<(), Abandoned> {
        let mut by_shard: BTreeMap<i32, Vec<_>> = BTreeMap::new();
        for item in items {
            by_shard.entry(item.record.partition).or_default().push(item.record);
        }
        for (number, records) in by_shard {
            self.tell_again(number, records).await?;
        }
        Ok(())
    }

    /// Gives what was written to the publisher.
    async fn hand_over(&self, items: Vec<Item>, decided: Decided) {
        let at = decided.at;
        let mut told = Outbox::with_capacity(items.len());
        let mut shards = BTreeSet::new();
        for (item, (decision, alerts)) in items.into_iter().zip(decided.each) {
            shards.insert(item.record.partition);
            let what = match (decision, item.content) {
                (Decision::Accepted(demand), Content::Order(order)) => What::accepted(order, demand, at),
                (Decision::Rejected(reason, shortfalls), Content::Order(order)) => {
                    What::rejected(&order, reason.to_owned(), shortfalls, at)
                }
                (Decision::DeadLetter { reason, detail }, _) => What::DeadLetter {
                    reason: reason.into(),
                    detail,
                },
                (Decision::Moved(_), _) => What::Moved,
                _ => continue,
            };
            let record = item.record;
            told.add(&self.shared.writers, &Told { record, what, alerts });
        }
        let marks = shards.into_iter().flat_map(|number| self.marks(number));
        let then = marks.filter(Mark::is_news).collect();
        self.publish(told, then).await;
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
