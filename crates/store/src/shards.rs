//! Stream progress: one row a shard says what of its topics has been applied. It is the only truth about that.
//!
//! A row is owned by whoever took it over last. Every write compares owner and version, so that an owner that was
//! replaced without noticing changes nothing.

use sqlx::{PgConnection, types::Uuid};

use crate::{database::Database, error::StoreError};

/// How far one topic of a shard has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Every record below was applied.
    pub next: i64,
    /// The outcome of every record below is known to be on its topic.
    pub published: i64,
    /// What the record at `next - 1` looked like; none where nothing was applied, or an operator skipped ahead.
    pub fingerprint: Option<Uuid>,
}

/// The row of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRow {
    /// Partition number of every topic the stock-processor reads.
    pub shard: i32,
    /// Raised by every write.
    pub version: i64,
    /// Who took it over last.
    pub owner: Uuid,
    /// Progress in `order_created`.
    pub order_created: Progress,
    /// Progress in `stock_adjusted`.
    pub stock_adjusted: Progress,
    /// An operator accepted that the group has committed more than is applied here.
    pub accept_rewind: bool,
}

/// Takes shards over: from now on every write of an earlier owner finds the row changed.
pub async fn take_over(database: &Database, shards: &[i32], owner: Uuid) -> Result<Vec<ShardRow>, StoreError> {
    sqlx::query!(
        "INSERT INTO shards (shard, version, owner)
         SELECT shard, 1, $2 FROM unnest($1::int4[]) AS taken (shard)
         ON CONFLICT (shard) DO UPDATE SET owner = $2, version = shards.version + 1",
        shards,
        owner,
    )
    .execute(database.pool())
    .await?;
    read(database, shards).await
}

/// Reads the rows of these shards.
pub async fn read(database: &Database, shards: &[i32]) -> Result<Vec<ShardRow>, StoreError> {
    let rows = sqlx::query!(
        "SELECT shard, version, owner,
                order_created_next, order_created_published, order_created_fingerprint,
                stock_adjusted_next, stock_adjusted_published, stock_adjusted_fingerprint, accept_rewind
         FROM shards WHERE shard = ANY($1) ORDER BY shard",
        shards,
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ShardRow {
            shard: row.shard,
            version: row.version,
            owner: row.owner,
            order_created: Progress {
                next: row.order_created_next,
                published: row.order_created_published,
                fingerprint: row.order_created_fingerprint,
            },
            stock_adjusted: Progress {
                next: row.stock_adjusted_next,
                published: row.stock_adjusted_published,
                fingerprint: row.stock_adjusted_fingerprint,
            },
            accept_rewind: row.accept_rewind,
        })
        .collect())
}

/// Writes the rows where they are still as `rows` has them, each one version on; a conflict if any is not.
///
/// The row is locked until the transaction ends: whoever else writes the shard waits, then finds another version.
pub async fn advance(connection: &mut PgConnection, rows: &[ShardRow]) -> Result<(), StoreError> {
    fn each<T>(rows: &[ShardRow], pick: impl Fn(&ShardRow) -> T) -> Vec<T> {
        rows.iter().map(pick).collect()
    }
    let advanced = sqlx::query!(
        "UPDATE shards SET
             version = shards.version + 1,
             order_created_next = u.created_next,
             order_created_published = u.created_published,
             order_created_fingerprint = u.created_fingerprint,
             stock_adjusted_next = u.adjusted_next,
             stock_adjusted_published = u.adjusted_published,
             stock_adjusted_fingerprint = u.adjusted_fingerprint,
             accept_rewind = u.accept_rewind
         FROM unnest($1::int4[], $2::int8[], $3::uuid[], $4::int8[], $5::int8[], $6::uuid[], $7::int8[], $8::int8[], $9::uuid[],
                     $10::bool[])
             AS u (shard, version, owner, created_next, created_published, created_fingerprint,
                   adjusted_next, adjusted_published, adjusted_fingerprint, accept_rewind)
         WHERE shards.shard = u.shard AND shards.version = u.version AND shards.owner = u.owner",
        &each(rows, |row| row.shard),
        &each(rows, |row| row.version),
        &each(rows, |row| row.owner),
        &each(rows, |row| row.order_created.next),
        &each(rows, |row| row.order_created.published),
        &each(rows, |row| row.order_created.fingerprint) as &[Option<Uuid>],
        &each(rows, |row| row.stock_adjusted.next),
        &each(rows, |row| row.stock_adjusted.published),
        &each(rows, |row| row.stock_adjusted.fingerprint) as &[Option<Uuid>],
        &each(rows, |row| row.accept_rewind),
    )
    .execute(connection)
    .await?
    .rows_affected();
    if advanced == rows.len() as u64 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "{} of {} shards are owned by somebody else now",
        rows.len() as u64 - advanced,
        rows.len()
    )))
}

/// Rewrites a shard on an operator's word. Its owner, if there is one, finds that it is not the owner any more and takes
/// the shard over as it is now.
pub async fn overrule(database: &Database, row: &ShardRow) -> Result<(), StoreError> {
    let mut transaction = database.pool().begin().await?;
    // Locks the row: an owner's batch either ends before this or finds it changed.
    advance(&mut transaction, std::slice::from_ref(row)).await?;
    sqlx::query!(
        "UPDATE shards SET owner = gen_random_uuid() WHERE shard = $1",
        row.shard
    )
    .execute(&mut *transaction)
    .await?;
    Ok(transaction.commit().await?)
}
