//! Order rows, written by COPY where they are many and by INSERT where they are few.

use domain::pantry::Shortfall;
use schemas::events::{Demand, Micros, OrderCreated};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{copy::CopyBuffer, error::StoreError, longs::packed, moment};

/// From so many orders on they are written by COPY. Below, a COPY meets the delayed acknowledgement of TCP.
const COPY_FROM: usize = 200;
/// So many bytes are sent at once: the server works on them while the next are encoded.
const CHUNK: usize = 128 * 1024;

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
}

impl OrderRow<'_> {
    /// Product, quantity, unit price, …
    fn lines(&self) -> impl Iterator<Item = i64> {
        self.order.lines.iter().flat_map(|line| {
            let price = line.unit_price_minor.get();
            [line.product_id.get(), i64::from(line.quantity), price]
        })
    }

    /// Ingredient, amount, …
    fn demand(&self) -> impl Iterator<Item = i64> {
        let demand = match self.outcome {
            OrderOutcome::Confirmed(demand) => demand,
            OrderOutcome::Rejected(..) => &[],
        };
        demand
            .iter()
            .flat_map(|part| [part.ingredient_id.get(), part.amount.get()])
    }

    /// Ingredient, needed, available, …
    fn shortfalls(&self) -> impl Iterator<Item = i64> {
        let shortfalls = match self.outcome {
            OrderOutcome::Confirmed(_) => &[],
            OrderOutcome::Rejected(_, shortfalls) => shortfalls,
        };
        shortfalls
            .iter()
            .flat_map(|lack| [lack.ingredient_id.get(), lack.needed.get(), lack.available.get()])
    }
}

/// Writes them, all or none.
pub(crate) async fn write(connection: &mut PgConnection, orders: &[OrderRow<'_>]) -> Result<(), StoreError> {
    match orders.len() {
        0 => Ok(()),
        COPY_FROM.. => copy(connection, orders).await,
        _ => insert(connection, orders).await,
    }
}

async fn copy(connection: &mut PgConnection, orders: &[OrderRow<'_>]) -> Result<(), StoreError> {
    // By merchant, and so by partition and by page of the index; of one merchant as the log has them.
    let mut by_merchant: Vec<&OrderRow<'_>> = orders.iter().collect();
    by_merchant.sort_by_key(|row| row.order.merchant_id);
    // Not a checked query: COPY has no prepared form.
    let mut copy = connection
        .copy_in_raw(
            "COPY orders (merchant_id, order_id, customer_id, customer_email, currency, total_minor, status, reason, lines,
                          demand, shortfalls, request_hash, placed_at, decided_at, source_partition, source_offset)
             FROM STDIN (FORMAT binary)",
        )
        .await?;
    // The last row may be larger than the rest.
    let mut buffer = CopyBuffer::with_capacity(CHUNK + CHUNK / 4);
    for row in by_merchant {
        encode(&mut buffer, row);
        if buffer.bytes().len() >= CHUNK {
            copy.send(buffer.bytes()).await?;
            buffer.clear();
        }
    }
    buffer.finish();
    copy.send(buffer.bytes()).await?;
    copy.finish().await?;
    Ok(())
}

fn encode(buffer: &mut CopyBuffer, row: &OrderRow<'_>) {
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
    buffer.longs(row.lines());
    buffer.longs(row.demand());
    buffer.longs(row.shortfalls());
    let hash = order.request_hash.map(i64::to_be_bytes);
    buffer.optional(hash.as_ref().map(<[u8; 8]>::as_slice));
    buffer.timestamp(order.placed_at.0);
    buffer.timestamp(row.decided_at.0);
    buffer.int4(row.partition);
    buffer.int8(row.offset);
}

async fn insert(connection: &mut PgConnection, orders: &[OrderRow<'_>]) -> Result<(), StoreError> {
    fn each<'a, T>(orders: &'a [OrderRow<'_>], pick: impl Fn(&'a OrderRow<'_>) -> T) -> Vec<T> {
        orders.iter().map(pick).collect()
    }
    let moments = |pick: fn(&OrderRow<'_>) -> Micros| -> Result<Vec<OffsetDateTime>, StoreError> {
        orders.iter().map(|row| moment::of(pick(row))).collect()
    };
    sqlx::query!(
        "INSERT INTO orders (merchant_id, order_id, customer_id, customer_email, currency, total_minor, status, reason, lines,
                             demand, shortfalls, request_hash, placed_at, decided_at, source_partition, source_offset)
         SELECT merchant_id, order_id, customer_id, customer_email, currency, total_minor, status, reason, lines,
                demand, shortfalls, request_hash, placed_at, decided_at, source_partition, source_offset
         FROM unnest($1::int8[], $2::uuid[], $3::int8[], $4::text[], $5::text[], $6::int8[], $7::text[], $8::text[], $9::bytea[],
                     $10::bytea[], $11::bytea[], $12::int8[], $13::timestamptz[], $14::timestamptz[], $15::int4[], $16::int8[])
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
        &each(orders, |row| packed(row.lines())),
        &each(orders, |row| packed(row.demand())),
        &each(orders, |row| packed(row.shortfalls())),
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
