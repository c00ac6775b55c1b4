//! Catalogues brought in whole: the demo's, a test's, and many at once for a load ([`bulk`]).
//!
//! Shelves are created here, together with their ingredients; from then on the stock-processor alone writes them.

pub mod bulk;

use std::collections::BTreeMap;

use domain::ids::{CustomerId, IngredientId, MerchantId, ProductId};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use crate::{database::Database, error::StoreError};

/// A merchant with all that is known of it.
#[derive(Clone, Debug)]
pub struct NewMerchant {
    /// What names it, once for all of Larder.
    pub reference: String,
    /// What it is called.
    pub name: String,
    /// ISO 4217.
    pub currency: String,
    /// Who is told when an ingredient runs low.
    pub alert_recipients: Vec<String>,
    /// Who orders there.
    pub customers: Vec<NewCustomer>,
    /// What it has in store.
    pub ingredients: Vec<NewIngredient>,
    /// What it sells.
    pub products: Vec<NewProduct>,
}

/// Somebody who orders.
#[derive(Clone, Debug)]
pub struct NewCustomer {
    /// The merchant's name for it.
    pub reference: String,
    /// What it is called.
    pub name: String,
    /// Where it can be written to.
    pub email: Option<String>,
}

/// Something in store.
#[derive(Clone, Debug)]
pub struct NewIngredient {
    /// The merchant's name for it.
    pub reference: String,
    /// What it is called.
    pub name: String,
    /// g, ml or piece.
    pub unit: String,
    /// What a full store of it is.
    pub full_level: i64,
    /// Below which share of that it is low, in percent.
    pub threshold_pct: i16,
    /// What there is of it to begin with.
    pub on_hand: i64,
}

/// Something sold.
#[derive(Clone, Debug)]
pub struct NewProduct {
    /// The merchant's name for it.
    pub reference: String,
    /// What it is called.
    pub name: String,
    /// In the currency's minor unit.
    pub price_minor: i64,
    /// Which ingredient, by reference, and how much of it.
    pub recipe: Vec<(String, i64)>,
}

/// The ids of what was brought in, by reference.
#[derive(Clone, Debug)]
pub struct Seeded {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// Its customers.
    pub customers: BTreeMap<String, CustomerId>,
    /// Its ingredients.
    pub ingredients: BTreeMap<String, IngredientId>,
    /// Its products.
    pub products: BTreeMap<String, ProductId>,
}

/// Brings a merchant in. What is there already by its reference stays as it is, the stock above all.
pub async fn merchant(database: &Database, new: &NewMerchant) -> Result<Seeded, StoreError> {
    let mut transaction = database.pool().begin().await?;
    let merchant_id = insert_merchant(&mut transaction, new).await?;
    let mut seeded = Seeded {
        merchant_id: MerchantId::new(merchant_id),
        customers: BTreeMap::new(),
        ingredients: BTreeMap::new(),
        products: BTreeMap::new(),
    };
    for customer in &new.customers {
        let id = insert_customer(&mut transaction, merchant_id, customer).await?;
        seeded.customers.insert(customer.reference.clone(), CustomerId::new(id));
    }
    let mut levels = (Vec::new(), Vec::new());
    for ingredient in &new.ingredients {
        let id = insert_ingredient(&mut transaction, merchant_id, ingredient).await?;
        let before = seeded
            .ingredients
            .insert(ingredient.reference.clone(), IngredientId::new(id));
        if before.is_none() {
            levels.0.push(id);
            levels.1.push(ingredient.on_hand);
        }
    }
    insert_stock(&mut transaction, merchant_id, &levels.0, &levels.1).await?;
    for product in &new.products {
        let id = insert_product(&mut transaction, merchant_id, product).await?;
        insert_recipe(&mut transaction, merchant_id, id, &product.recipe).await?;
        seeded.products.insert(product.reference.clone(), ProductId::new(id));
    }
    transaction.commit().await?;
    Ok(seeded)
}

/// Gives a merchant one more API key; only its hash and its first characters are kept.
pub async fn add_api_key(database: &Database, merchant: MerchantId, key: &str) -> Result<(), StoreError> {
    let hash = hash(key);
    sqlx::query!(
        "INSERT INTO api_keys (merchant_id, key_sha256, prefix) VALUES ($1, $2, $3)",
        merchant.get(),
        hash.as_slice(),
        prefix(key),
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// As much of a key as may be shown.
fn prefix(key: &str) -> String {
    key.chars().take(11).collect()
}

async fn insert_merchant(connection: &mut PgConnection, new: &NewMerchant) -> Result<i64, StoreError> {
    // An update that changes nothing, so that the id comes back either way.
    let id = sqlx::query_scalar!(
        "INSERT INTO merchants (reference, name, currency, alert_recipients) VALUES ($1, $2, $3, $4)
         ON CONFLICT (reference) DO UPDATE SET reference = excluded.reference
         RETURNING merchant_id",
        new.reference,
        new.name,
        new.currency,
        &new.alert_recipients,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}

async fn insert_customer(connection: &mut PgConnection, merchant: i64, new: &NewCustomer) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO customers (merchant_id, reference, name, email) VALUES ($1, $2, $3, $4)
         ON CONFLICT (merchant_id, reference) DO UPDATE SET reference = excluded.reference
         RETURNING customer_id",
        merchant,
        new.reference,
        new.name,
        new.email,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}

async fn insert_ingredient(
    connection: &mut PgConnection,
    merchant: i64,
    new: &NewIngredient,
) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO ingredients (merchant_id, reference, name, unit, full_level, threshold_pct)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (merchant_id, reference) DO UPDATE SET reference = excluded.reference
         RETURNING ingredient_id",
        merchant,
        new.reference,
        new.name,
        new.unit,
        new.full_level,
        new.threshold_pct,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}

async fn insert_stock(
    connection: &mut PgConnection,
    merchant: i64,
    ingredients: &[i64],
    on_hand: &[i64],
) -> Result<(), StoreError> {
    // What is on a shelf belongs to the stock-processor: left alone, and no movement noted. A level that is below the
    // threshold from the start has not fallen below it, so nothing is told until it has been above. The merchant's row
    // is locked since it was inserted or found, so that nobody else numbers its shelves now.
    sqlx::query!(
        "WITH placed AS (
             SELECT ingredient_id, u.on_hand, u.on_hand::numeric * 100 >= full_level::numeric * threshold_pct AS armed,
                    row_number() OVER (ORDER BY ingredient_id) - 1 AS place
             FROM unnest($2::int8[], $3::int8[]) AS u (ingredient_id, on_hand)
             JOIN ingredients USING (ingredient_id)
             WHERE merchant_id = $1
               AND NOT EXISTS (SELECT FROM stock WHERE stock.merchant_id = $1 AND stock.ingredient_id = u.ingredient_id)),
         created AS (
             INSERT INTO shelves (merchant_id, shelf, armed, ingredient_ids, on_hand)
             SELECT $1, (SELECT coalesce(max(shelf) + 1, 0) FROM shelves WHERE merchant_id = $1) + place / 64,
                    bit_or(armed::int4::int8 << (place % 64)::int4), array_agg(ingredient_id ORDER BY place),
                    array_agg(on_hand ORDER BY place)
             FROM placed GROUP BY place / 64)
         INSERT INTO stock_movements
             (merchant_id, movement_id, ingredient_id, kind, amount, on_hand, reason, requested_at, decided_at)
         SELECT $1, gen_random_uuid(), ingredient_id, 'initial', on_hand, on_hand, 'first stock', now(), now()
         FROM placed",
        merchant,
        ingredients,
        on_hand,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_product(connection: &mut PgConnection, merchant: i64, new: &NewProduct) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO products (merchant_id, reference, name, price_minor) VALUES ($1, $2, $3, $4)
         ON CONFLICT (merchant_id, reference) DO UPDATE SET reference = excluded.reference
         RETURNING product_id",
        merchant,
        new.reference,
        new.name,
        new.price_minor,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}

async fn insert_recipe(
    connection: &mut PgConnection,
    merchant: i64,
    product: i64,
    recipe: &[(String, i64)],
) -> Result<(), StoreError> {
    let (references, amounts): (Vec<String>, Vec<i64>) = recipe.iter().cloned().unzip();
    let known = sqlx::query_scalar!(
        "SELECT count(*) FROM ingredients WHERE merchant_id = $1 AND reference = ANY($2)",
        merchant,
        &references,
    )
    .fetch_one(&mut *connection)
    .await?;
    if known != Some(i64::try_from(references.len()).unwrap_or(i64::MAX)) {
        return Err(StoreError::Conflict(format!(
            "a recipe of merchant {merchant} names an ingredient twice or one that it does not have: {references:?}"
        )));
    }
    sqlx::query!(
        "INSERT INTO recipe_lines (merchant_id, product_id, ingredient_id, amount)
         SELECT $1, $2, ingredient_id, line.amount
         FROM unnest($3::text[], $4::int8[]) AS line (reference, amount)
         JOIN ingredients USING (reference)
         WHERE merchant_id = $1
         ON CONFLICT DO NOTHING",
        merchant,
        product,
        &references,
        &amounts,
    )
    .execute(connection)
    .await?;
    Ok(())
}
