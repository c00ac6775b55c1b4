//! A shard that is ours: its row, the stock of its merchants, and whether its past was recognised.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use domain::{
    ids::MerchantId,
    pantry::{Pantry, Stock, UnknownIngredient},
};
use lru::LruCache;
use store::{pantries::Stocked, shards::ShardRow, shelves::ShelfChanges};

use crate::{
    assignment::{Start, Stop},
    packed::Packed,
    source::Source,
};

/// How far the outcomes of a shard are known to be published, per source. Written by the publisher.
#[derive(Debug)]
pub(crate) struct Published([AtomicI64; 2]);

impl Published {
    pub(crate) fn set(&self, source: Source, next: i64) {
        self.0[source as usize].fetch_max(next, Ordering::AcqRel);
    }

    pub(crate) fn get(&self, source: Source) -> i64 {
        self.0[source as usize].load(Ordering::Acquire)
    }
}

/// A merchant's pantry, and what its stock was before the batch that is being decided.
struct Cached {
    stocked: Stocked,
    before: Option<Box<[Stock]>>,
}

/// Records that wait until the past of their shard is recognised.
#[derive(Default)]
struct Verification {
    pending: [bool; 2],
    again: Vec<Packed>,
    held: Vec<Packed>,
}

/// Records by what is to be done with them.
#[derive(Default)]
pub(crate) struct Sorted {
    /// Applied before, perhaps not published: to be told again.
    pub(crate) again: Vec<Packed>,
    /// New.
    pub(crate) new: Vec<Packed>,
}

pub(crate) struct Shard {
    pub(crate) row: ShardRow,
    pub(crate) published: Arc<Published>,
    verification: Option<Verification>,
    pantries: LruCache<MerchantId, Result<Cached, UnknownIngredient>>,
    changed: Vec<MerchantId>,
}

impl Shard {
    pub(crate) fn new(start: Start) -> Self {
        let published = Published(Source::ALL.map(|source| AtomicI64::new(source.progress(&start.row).published)));
        let verification = start.verify.contains(&true).then(|| Verification {
            pending: start.verify,
            ..Verification::default()
        });
        Self {
            row: start.row,
            published: Arc::new(published),
            verification,
            // Bounded by `settle` between batches: within one, nothing it touches may go.
            pantries: LruCache::unbounded(),
            changed: Vec::new(),
        }
    }

    /// Tells new records from those that were applied before. Everything waits until the last applied record of
    /// each topic was seen to be the one it was.
    pub(crate) fn sort(&mut self, records: Vec<Packed>, names: &stream::Names) -> Result<Sorted, Stop> {
        let mut sorted = Sorted::default();
        for record in records {
            let progress = record.source.progress(&self.row);
            match &mut self.verification {
                None if record.offset >= progress.next => sorted.new.push(record),
                // Below what is applied and published: a repeat of what was fetched for the fingerprint.
                None => {}
                Some(verification) if record.offset >= progress.next => verification.held.push(record),
                Some(verification) => {
                    if record.offset == progress.next - 1 {
                        if progress
                            .fingerprint
                            .is_some_and(|expected| expected != record.fingerprint())
                        {
                            let topic = names.topic(record.source.topic());
                            return Err(Stop::Fingerprint {
                                topic,
                                next: progress.next,
                            });
                        }
                        verification.pending[record.source as usize] = false;
                    }
                    if record.offset >= progress.published {
                        verification.again.push(record);
                    }
                }
            }
            if let Some(verification) = self
                .verification
                .take_if(|verification| !verification.pending.contains(&true))
            {
                sorted.again = verification.again;
                sorted.new = verification.held;
            }
        }
        Ok(sorted)
    }

    /// How many records wait until the past is recognised.
    pub(crate) fn held(&self) -> usize {
        self.verification
            .as_ref()
            .map_or(0, |verification| verification.held.len())
    }

    /// The row as it is to be after this batch: progress past these records, and what is published by now.
    pub(crate) fn row_after<'a>(&self, records: impl Iterator<Item = &'a Packed>) -> ShardRow {
        let mut row = self.row.clone();
        row.accept_rewind = false;
        let mut last: [Option<&Packed>; 2] = [None; 2];
        for record in records {
            last[record.source as usize] = Some(record);
        }
        for record in last.into_iter().flatten() {
            let progress = record.source.progress_mut(&mut row);
            progress.next = record.offset + 1;
            progress.fingerprint = Some(record.fingerprint());
        }
        for source in Source::ALL {
            let progress = source.progress_mut(&mut row);
            progress.published = self.published.get(source).clamp(progress.published, progress.next);
        }
        row
    }

    /// Whether more is published than the row says.
    pub(crate) fn is_behind(&self) -> bool {
        Source::ALL
            .into_iter()
            .any(|source| self.published.get(source) > source.progress(&self.row).published)
    }

    /// The row was written as given.
    pub(crate) fn written(&mut self, mut row: ShardRow) {
        row.version += 1;
        self.row = row;
    }

    /// Whether the merchant's pantry is here and, where products are named, has them all.
    pub(crate) fn has(&self, merchant: MerchantId, products: impl IntoIterator<Item = domain::ids::ProductId>) -> bool {
        match self.pantries.peek(&merchant) {
            Some(Ok(cached)) => products.into_iter().all(|product| cached.stocked.pantry.sells(product)),
            Some(Err(_)) | None => false,
        }
    }

    pub(crate) fn keep(&mut self, merchant: MerchantId, stocked: Result<Stocked, UnknownIngredient>) {
        self.pantries
            .put(merchant, stocked.map(|stocked| Cached { stocked, before: None }));
    }

    pub(crate) fn forget(&mut self, merchant: MerchantId) {
        self.pantries.pop(&merchant);
    }

    pub(crate) fn forget_all(&mut self) {
        self.pantries.clear();
        self.changed.clear();
    }

    /// The merchant's pantry, to be looked at.
    pub(crate) fn pantry(&mut self, merchant: MerchantId) -> Option<Result<&Pantry, UnknownIngredient>> {
        self.pantries.get(&merchant).map(|cached| {
            cached
                .as_ref()
                .map(|cached| &cached.stocked.pantry)
                .map_err(|error| *error)
        })
    }

    /// The merchant's pantry, to be changed by a decision of this batch.
    pub(crate) fn change(&mut self, merchant: MerchantId) -> Option<&mut Pantry> {
        let cached = self.pantries.get_mut(&merchant)?.as_mut().ok()?;
        if cached.before.is_none() {
            cached.before = Some(
                cached
                    .stocked
                    .pantry
                    .ingredients()
                    .iter()
                    .map(|ingredient| ingredient.stock)
                    .collect(),
            );
            self.changed.push(merchant);
        }
        Some(&mut cached.stocked.pantry)
    }

    /// What the batch comes to for every shelf it changed.
    pub(crate) fn changes(&self, changes: &mut ShelfChanges) {
        for merchant in &self.changed {
            if let Some(Ok(Cached {
                stocked,
                before: Some(before),
            })) = self.pantries.peek(merchant)
            {
                changes.add(*merchant, &stocked.shelves, stocked.pantry.ingredients(), before);
            }
        }
    }

    /// The batch is written: what it came to is what there is now.
    pub(crate) fn settle(&mut self, most: NonZeroUsize) {
        for merchant in self.changed.drain(..) {
            if let Some(Ok(cached)) = self.pantries.peek_mut(&merchant) {
                cached.before = None;
            }
        }
        while self.pantries.len() > most.get() {
            self.pantries.pop_lru();
        }
    }

    /// The batch is not written: everything is as it was.
    pub(crate) fn undo(&mut self) {
        for merchant in self.changed.drain(..) {
            if let Some(Ok(cached)) = self.pantries.peek_mut(&merchant)
                && let Some(before) = cached.before.take()
            {
                cached.stocked.pantry.restore(&before);
            }
        }
    }
}
