//! What the stock-processor writes: everything a batch of records comes to, in one transaction.

use domain::{
    amount::Quantity,
    ids::{AdjustmentId, IngredientId, MerchantId},
    pantry::Shortfall,
};
use schemas::events::{Demand, Micros, OrderCreated};
use sqlx::{Connection as _, PgConnection, types::Uuid};
use time::OffsetDateTime;

use crate::{
    alerts::{self, AlertRow},
    copy::CopyBuffer,
    error::StoreError,
    moment,
    shards::{self, ShardRow},
    shelves::{self, ShelfChanges},
};

/// From so many orders on they are written by COPY. Below, a COPY meets the delayed acknowledgement of TCP.
const COPY_FROM: usize = 200;

/// An order with its outcome.
#[derive(Clone, Debug)]
pub struct OrderRow<'a> {
    /// As it was accepted.
    pub order: &'a OrderCreated,
    /// What was decided.
    pub outcome: OrderOutcome<'a>,
    /// When.
    pub decided_at: Micros,
    /// Where in `order_created` it stands.
    pub partition: i32,
    /// Where in the partition.
    pub offset: i64,
}

/// What was decided of an order.
#[derive(Clone, Copy, Debug)]
pub enum OrderOutcome<'a> {
    /// Its ingredients are used.
    Confirmed(&'a [Demand]),
    /// It was refused.
    Rejected(&'a str, &'a [Shortfall]),
}

impl<'a> OrderOutcome<'a> {
    const fn status(self) -> &'static str {
        match self {
            Self::Confirmed(_) => "confirmed",
            Self::Rejected(..) => "rejected",
        }
    }

    const fn reason(self) -> Option<&'a str> {
        match self {
            Self::Confirmed(_) => None,
            Self::Rejected(reason, _) => Some(reason),
        }
    }

    const fn demand(self) -> &'a [Demand] {
        match self {
            Self::Confirmed(demand) => demand,
            Self::Rejected(..) => &[],
        }
    }

    const fn shortfalls(self) -> &'a [Shortfall] {
        match self {
            Self::Confirmed(_) => &[],
            Self::Rejected(_, shortfalls) => shortfalls,
        }
    }
}

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
    if batch.orders.len() >= COPY_FROM {
        copy_orders(&mut transaction, &batch.orders).await?;
    } else if !batch.orders.is_empty() {
        insert_orders(&mut transaction, &batch.orders).await?;
    }
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

async fn copy_orders(connection: &mut PgConnection, orders: &[OrderRow<'_>]) -> Result<(), StoreError> {
    let mut buffer = CopyBuffer::with_capacity(orders.len() * 480);
    for row in orders {
        let order = row.order;
        buffer.row(16);
        buffer.int8(order.merchant_id.get());
        buffer.raw(order.order_id.get().as_bytes());
        buffer.int8(order.customer_id.get());
        buffer.optional(order.customer_email.as_deref().map(str::as_bytes));
        buffer.raw(order.currency.as_str().as_bytes());
        buffer.int8(order.total_minor.get());
        buffer.raw(row.outcome.status().as_bytes());
        buffer.optional(row.outcome.reason().map(str::as_bytes));
        buffer.int8_array(&flat_lines(order));
        buffer.int8_array(&flat_demand(row.outcome));
        buffer.int8_array(&flat_shortfalls(row.outcome));
        buffer.optional(
            order
                .request_hash
                .map(i64::to_be_bytes)
                .as_ref()
                .map(<[u8; 8]>::as_slice),
        );
        buffer.timestamp(order.placed_at.0);
        buffer.timestamp(row.decided_at.0);
        buffer.int4(row.partition);
        buffer.int8(row.offset);
    }
    // Not a checked query: COPY has no prepared form.
    let mut copy = connection
        .copy_in_raw(
            "COPY orders (merchant_id, order_id, customer_id, customer_email, currency, total_minor, status, reason, lines,
                          demand, shortfalls, request_hash, placed_at, decided_at, source_partition, source_offset)
             FROM STDIN (FORMAT binary)",
        )
        .await?;
    copy.send(buffer.finish()).await?;
    copy.finish().await?;
    Ok(())
}

async fn insert_orders(connection: &mut PgConnection, orders: &[OrderRow<'_>]) -> Result<(), StoreError> {
    fn each<'a, T>(orders: &'a [OrderRow<'_>], pick: impl Fn(&'a OrderRow<'_>) -> T) -> Vec<T> {
        orders.iter().map(pick).collect()
    }
    let moments = |pick: fn(&OrderRow<'_>) -> Micros| -> Result<Vec<OffsetDateTime>, StoreError> {
        orders.iter().map(|row| moment::of(pick(row))).collect()
    };
    sqlx::query!(
        "INSERT INTO orders (merchant_id, order_id, customer_id, customer_email, currency, total_minor, status, reason, lines,
                             demand, shortfalls, request_hash, placed_at, decided_at, source_partition, source_offset)
         SELECT merchant_id, order_id, customer_id, customer_email, currency, total_minor, status, reason, lines::int8[],
                demand::int8[], shortfalls::int8[], request_hash, placed_at, decided_at, source_partition, source_offset
         FROM unnest($1::int8[], $2::uuid[], $3::int8[], $4::text[], $5::text[], $6::int8[], $7::text[], $8::text[], $9::text[],
                     $10::text[], $11::text[], $12::int8[], $13::timestamptz[], $14::timestamptz[], $15::int4[], $16::int8[])
             AS u (merchant_id, order_id, customer_id, customer_email, currency, total_minor, status, reason, lines,
                   demand, shortfalls, request_hash, placed_at, decided_at, source_partition, source_offset)",
        &each(orders, |row| row.order.merchant_id.get()),
        &each(orders, |row| row.order.order_id.get()),
        &each(orders, |row| row.order.customer_id.get()),
        &each(orders, |row| row.order.customer_email.as_deref()) as &[Option<&str>],
        &each(orders, |row| row.order.currency.as_str()) as &[&str],
        &each(orders, |row| row.order.total_minor.get()),
        &each(orders, |row| row.outcome.status()) as &[&str],
        &each(orders, |row| row.outcome.reason()) as &[Option<&str>],
        // An array of arrays of different lengths is no array: each goes as its text.
        &each(orders, |row| literal(&flat_lines(row.order))),
        &each(orders, |row| literal(&flat_demand(row.outcome))),
        &each(orders, |row| literal(&flat_shortfalls(row.outcome))),
        &each(orders, |row| row.order.request_hash) as &[Option<i64>],
        &moments(|row| row.order.placed_at)?,
        &moments(|row| row.decided_at)?,
        &each(orders, |row| row.partition),
        &each(orders, |row| row.offset),
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn flat_lines(order: &OrderCreated) -> Vec<i64> {
    let flat = |line: &schemas::events::OrderLine| {
        [
            line.product_id.get(),
            i64::from(line.quantity),
            line.unit_price_minor.get(),
        ]
    };
    order.lines.iter().flat_map(flat).collect()
}

fn flat_demand(outcome: OrderOutcome<'_>) -> Vec<i64> {
    outcome
        .demand()
        .iter()
        .flat_map(|part| [part.ingredient_id.get(), part.amount.get()])
        .collect()
}

fn flat_shortfalls(outcome: OrderOutcome<'_>) -> Vec<i64> {
    let flat = |lack: &Shortfall| [lack.ingredient_id.get(), lack.needed.get(), lack.available.get()];
    outcome.shortfalls().iter().flat_map(flat).collect()
}

/// An array as Postgres writes it in text.
fn literal(values: &[i64]) -> String {
    let values: Vec<String> = values.iter().map(i64::to_string).collect();
    format!("{{{}}}", values.join(","))
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
