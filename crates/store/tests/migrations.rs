//! What the migrations make of rows that are there, and of integers packed into bytes.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

use sqlx::{Connection as _, PgConnection};
use store::Database;

/// A database with the tables that the scripts come to.
async fn database(scripts: &[&'static str]) -> PgConnection {
    let url = testkit::empty_database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for script in scripts {
        sqlx::raw_sql(*script).execute(&mut connection).await.unwrap();
    }
    connection
}

const PIPELINE: &str = include_str!("../migrations/0001_pipeline.sql");
const SHELVES: &str = include_str!("../migrations/0003_shelves.sql");
const PACKED_ORDERS: &str = include_str!("../migrations/0004_packed_orders.sql");

#[tokio::test]
async fn stock_of_the_first_tables_keeps_its_levels() {
    let rows = "
        INSERT INTO merchants (merchant_id, name, currency, alert_recipients) VALUES (1, 'a', 'EUR', '{}'), (2, 'b', 'EUR', '{}');
        INSERT INTO ingredients (merchant_id, ingredient_id, name, unit, full_level)
        SELECT m, i, 'i', 'g', 100 FROM generate_series(1, 2) AS m, generate_series(1, 70) AS i;
        INSERT INTO stock SELECT 1, i, i, i / 65, i % 3 = 0 FROM generate_series(1, 70) AS i;
        INSERT INTO stock SELECT 2, i, 7 FROM generate_series(1, 70, 2) AS i;
        CREATE TABLE before AS SELECT * FROM stock;";
    let mut connection = database(&[PIPELINE, rows, SHELVES]).await;
    let (rows, lost): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM stock), (SELECT count(*) FROM (TABLE before EXCEPT TABLE stock) AS other)",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!((rows, lost), (105, 0));
    let shelves: Vec<(i64, i32, bool)> = sqlx::query_as(
        "SELECT merchant_id, cardinality(on_hand), reserved IS NULL FROM shelves ORDER BY merchant_id, shelf",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(shelves, [(1, 64, true), (1, 6, false), (2, 35, true)]);
}

#[tokio::test]
async fn orders_of_the_first_tables_keep_what_they_consist_of() {
    let rows = "
        INSERT INTO orders (merchant_id, order_id, customer_id, currency, total_minor, status, reason, lines, demand, shortfalls,
                            placed_at, decided_at, source_partition, source_offset)
        SELECT n, gen_random_uuid(), 1, 'EUR', 1, 'rejected', 'r', ARRAY[n, 2, 950], ARRAY[n * n * n, 7, -n, 64],
               CASE WHEN n % 2 = 0 THEN '{}'::bigint[] ELSE ARRAY[n, 20, 10] END, now(), now(), 0, n
        FROM generate_series(1, 100::bigint) AS n;
        CREATE TABLE before AS SELECT order_id, lines, demand, shortfalls FROM orders;";
    let mut connection = database(&[PIPELINE, rows, PACKED_ORDERS]).await;
    let lost: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (TABLE before EXCEPT SELECT order_id, lines, demand, shortfalls FROM orders_unpacked) AS other",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(lost, 0);
}

#[tokio::test]
async fn packed_integers_are_the_same_here_and_in_sql() {
    let database = Database::connect(&testkit::database().await).await.unwrap();
    let longs = [0, -1, 1, 63, -64, 64, 950, 1_000_000_000_000, i64::MAX, i64::MIN];
    let (packed, unpacked): (Vec<u8>, Vec<i64>) = sqlx::query_as("SELECT packed_longs($1), longs(packed_longs($1))")
        .bind(longs)
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(unpacked, longs);
    assert_eq!(store::longs::unpacked(&packed).as_deref(), Some(longs.as_slice()));
    let cut_off = sqlx::query("SELECT longs('\\x0280')").execute(database.pool()).await;
    assert!(cut_off.unwrap_err().to_string().contains("cut off"));
}
