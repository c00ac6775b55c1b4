//! A transaction whose answer was lost: whether it took place is read from the shard rows, never guessed.

use store::shards::{self, ShardRow};
use stream::consume::chain;
use tracing::error;

use crate::{
    assignment::Stop,
    source::Source,
    worker::{Abandoned, Pauses, Worker, in_time},
};

impl Worker {
    /// Whether a transaction whose end is not known took place: the shard rows tell. Shards that somebody else owns
    /// now are given up.
    pub(crate) async fn resolve(&mut self, rows: &[ShardRow]) -> Result<bool, Abandoned> {
        let numbers: Vec<i32> = rows.iter().map(|row| row.shard).collect();
        let mut pauses = Pauses::default();
        let found = loop {
            match in_time(shards::read(&self.shared.database, &numbers)).await {
                Ok(found) => break found,
                Err(error) => {
                    error!(error = %chain(&error), "cannot read the shard rows: will try again");
                    self.pause(&mut pauses).await?;
                }
            }
        };
        let mut written = false;
        for row in rows {
            let Some(shard) = self.shards.get_mut(&row.shard) else {
                continue;
            };
            match found.iter().find(|found| found.shard == row.shard) {
                Some(found) if found.owner == row.owner && is_as_far(found, row) => {
                    written = true;
                    shard.row = found.clone();
                }
                // An earlier write of what is published may have raised the version.
                Some(found) if found.owner == row.owner && is_as_far(found, &shard.row) => shard.row = found.clone(),
                _ => self.stop(row.shard, Stop::Lost),
            }
        }
        Ok(written)
    }
}

/// Whether the same records are applied in both.
fn is_as_far(one: &ShardRow, other: &ShardRow) -> bool {
    Source::ALL.into_iter().all(|source| {
        let (one, other) = (source.progress(one), source.progress(other));
        (one.next, one.fingerprint) == (other.next, other.fingerprint)
    })
}
