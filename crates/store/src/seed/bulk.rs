//! Many merchants of one shape, for a load: made inside Postgres, some hundreds a transaction.

use domain::ids::{CustomerId, MerchantId, ProductId};

use super::{hash, prefix};
use crate::{database::Database, error::StoreError};

/// Merchants of one transaction.
const CHUNK: i64 = 250;

/// How many of what.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Merchants, named load-1, load-2, …
    pub merchants: i64,
    /// Products of each, named product-1, …
    pub products: i64,
    /// Ingredients of each, named ingredient-1, …
    pub ingredients: i64,
    /// Ingredients in each product's recipe, neighbours of one another, 10 base units of each.
    pub lines: i64,
    /// What there is of each ingredient, which is also its full level.
    pub level: i64,
}

/// A merchant to order from.
#[derive(Clone, Debug)]
pub struct Orderable {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// Its one customer.
    pub customer_id: CustomerId,
    /// What it sells.
    pub product_ids: Vec<ProductId>,
}

/// Brings in the merchants that are not there yet and returns how many; `progress` is told how far it is.
pub async fn merchants(database: &Database, shape: Shape, mut progress: impl FnMut(i64)) -> Result<i64, StoreError> {
    let mut created = 0;
    let mut first = 1;
    while first <= shape.merchants {
        let last = (first + CHUNK - 1).min(shape.merchants);
        created += chunk(database, shape, first, last).await?;
        progress(last);
        first = last + 1;
    }
    // Fresh tables have no statistics, and the first plans without them are poor ones.
    sqlx::query!("ANALYZE merchants, customers, ingredients, shelves, products, recipe_lines")
        .execute(database.pool())
        .await?;
    Ok(created)
}

async fn chunk(database: &Database, shape: Shape, first: i64, last: i64) -> Result<i64, StoreError> {
    let mut transaction = database.pool().begin().await?;
    let merchants = sqlx::query_scalar!(
        "INSERT INTO merchants (reference, name, currency, alert_recipients)
         SELECT 'load-' || n, 'Load ' || n, 'EUR', ARRAY['load@load.example'] FROM generate_series($1::int8, $2::int8) AS n
         ON CONFLICT (reference) DO NOTHING
         RETURNING merchant_id",
        first,
        last,
    )
    .fetch_all(&mut *transaction)
    .await?;
    sqlx::query!(
        "INSERT INTO customers (merchant_id, reference, name, email)
         SELECT merchant_id, 'customer', 'Customer', 'customer@load.example' FROM unnest($1::int8[]) AS merchant_id",
        &merchants,
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "INSERT INTO ingredients (merchant_id, reference, name, unit, full_level)
         SELECT merchant_id, 'ingredient-' || n, 'Ingredient ' || n, 'g', $3
         FROM unnest($1::int8[]) AS merchant_id, generate_series(1, $2::int8) AS n",
        &merchants,
        shape.ingredients,
        shape.level,
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "WITH created AS (
             INSERT INTO shelves (merchant_id, shelf, armed, ingredient_ids, on_hand)
             SELECT merchant_id, place / 64, bit_or(1::int8 << (place % 64)::int4), array_agg(ingredient_id ORDER BY place),
                    array_agg(full_level ORDER BY place)
             FROM (SELECT *, row_number() OVER (PARTITION BY merchant_id ORDER BY ingredient_id) - 1 AS place
                   FROM ingredients WHERE merchant_id = ANY($1)) AS placed
             GROUP BY merchant_id, place / 64
             RETURNING merchant_id, ingredient_ids, on_hand)
         INSERT INTO stock_movements
             (merchant_id, movement_id, ingredient_id, kind, amount, on_hand, reason, requested_at, decided_at)
         SELECT merchant_id, gen_random_uuid(), ingredient_id, 'initial', level, level, 'first stock', now(), now()
         FROM created, unnest(ingredient_ids, on_hand) AS u (ingredient_id, level)",
        &merchants,
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "WITH created AS (
             INSERT INTO products (merchant_id, reference, name, price_minor)
             SELECT merchant_id, 'product-' || n, 'Product ' || n, 950
             FROM unnest($1::int8[]) AS merchant_id, generate_series(1, $2::int8) AS n
             RETURNING merchant_id, product_id, substring(reference FROM 9)::int8 AS n)
         INSERT INTO recipe_lines (merchant_id, product_id, ingredient_id, amount)
         SELECT created.merchant_id, created.product_id, ingredients.ingredient_id, 10
         FROM created
         CROSS JOIN generate_series(1, $4::int8) AS line
         JOIN ingredients ON ingredients.merchant_id = created.merchant_id
             AND ingredients.reference = 'ingredient-' || ((created.n - 1) * $4::int8 + line - 1) % $3::int8 + 1",
        &merchants,
        shape.products,
        shape.ingredients,
        shape.lines,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(i64::try_from(merchants.len()).unwrap_or(i64::MAX))
}

/// The first so many merchants of a load, with what it takes to order from them.
pub async fn orderable(database: &Database, merchants: i64) -> Result<Vec<Orderable>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT merchants.merchant_id, customers.customer_id, products.ids AS "product_ids!"
           FROM generate_series(1, $1::int8) AS n
           JOIN merchants ON merchants.reference = 'load-' || n
           JOIN customers ON customers.merchant_id = merchants.merchant_id AND customers.reference = 'customer'
           CROSS JOIN LATERAL (
               SELECT array_agg(product_id ORDER BY product_id) AS ids
               FROM products WHERE products.merchant_id = merchants.merchant_id) AS products
           WHERE products.ids IS NOT NULL
           ORDER BY n"#,
        merchants,
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Orderable {
            merchant_id: MerchantId::new(row.merchant_id),
            customer_id: CustomerId::new(row.customer_id),
            product_ids: row.product_ids.into_iter().map(ProductId::new).collect(),
        })
        .collect())
}

/// Gives each of these merchants one more API key.
pub async fn add_api_keys(database: &Database, keys: &[(MerchantId, String)]) -> Result<(), StoreError> {
    let merchants: Vec<i64> = keys.iter().map(|(merchant, _)| merchant.get()).collect();
    let hashes: Vec<Vec<u8>> = keys.iter().map(|(_, key)| hash(key).to_vec()).collect();
    let prefixes: Vec<String> = keys.iter().map(|(_, key)| prefix(key)).collect();
    sqlx::query!(
        "INSERT INTO api_keys (merchant_id, key_sha256, prefix)
         SELECT * FROM unnest($1::int8[], $2::bytea[], $3::text[])",
        &merchants,
        &hashes,
        &prefixes,
    )
    .execute(database.pool())
    .await?;
    Ok(())
}
