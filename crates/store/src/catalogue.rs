//! What a merchant sells and to whom, as order-ingest reads it.

use domain::{
    amount::Minor,
    ids::{CustomerId, IngredientId, MerchantId, ProductId, Reference},
    money::Currency,
};
use sqlx::postgres::PgListener;

use crate::{database::Database, error::StoreError};

/// The channel that tells whose catalogue changed (`migrations/0001_pipeline.sql`).
const CHANNEL: &str = "catalogue";

/// A merchant with everything that is checked when an order comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merchant {
    /// Which.
    pub id: MerchantId,
    /// Of every price.
    pub currency: Currency,
    /// SHA-256 of each API key that is not revoked.
    pub keys: Vec<[u8; 32]>,
    /// What it sells or sold.
    pub products: Vec<Product>,
    /// What its products are made of.
    pub ingredients: Vec<Ingredient>,
}

/// Something a merchant sells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Which.
    pub id: ProductId,
    /// The merchant's own name for it.
    pub reference: Option<String>,
    /// What one costs.
    pub price: Minor,
    /// Whether it takes new orders.
    pub active: bool,
}

/// Something a product is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingredient {
    /// Which.
    pub id: IngredientId,
    /// The merchant's own name for it.
    pub reference: Option<String>,
}

/// Somebody who orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Which.
    pub id: CustomerId,
    /// Where the customer can be written to.
    pub email: Option<String>,
}

/// Whose API key has this SHA-256; a revoked one is nobody's.
pub async fn merchant_of_key(database: &Database, key_sha256: &[u8; 32]) -> Result<Option<MerchantId>, StoreError> {
    let merchant = sqlx::query_scalar!(
        "SELECT merchant_id FROM api_keys WHERE key_sha256 = $1 AND revoked_at IS NULL",
        key_sha256.as_slice()
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(merchant.map(MerchantId::new))
}

/// The merchant with its keys, products and ingredients.
///
/// Several statements without a common snapshot: whoever changes a row between them is told on the channel, and the
/// reader asks again.
pub async fn merchant(database: &Database, merchant: MerchantId) -> Result<Option<Merchant>, StoreError> {
    let mut connection = database.pool().acquire().await?;
    let Some(currency) = sqlx::query_scalar!("SELECT currency FROM merchants WHERE merchant_id = $1", merchant.get())
        .fetch_optional(&mut *connection)
        .await?
    else {
        return Ok(None);
    };
    let keys = sqlx::query_scalar!(
        "SELECT key_sha256 FROM api_keys WHERE merchant_id = $1 AND revoked_at IS NULL",
        merchant.get()
    )
    .fetch_all(&mut *connection)
    .await?;
    let products = sqlx::query!(
        "SELECT product_id, reference, price_minor, active FROM products WHERE merchant_id = $1",
        merchant.get()
    )
    .fetch_all(&mut *connection)
    .await?;
    let ingredients = sqlx::query!(
        "SELECT ingredient_id, reference FROM ingredients WHERE merchant_id = $1",
        merchant.get()
    )
    .fetch_all(&mut *connection)
    .await?;
    let out_of_shape = |what: &str| StoreError::Conflict(format!("merchant {merchant} has a {what} out of shape"));
    Ok(Some(Merchant {
        id: merchant,
        currency: Currency::parse(&currency).map_err(|_| out_of_shape("currency"))?,
        keys: keys
            .into_iter()
            .map(|key| key.try_into().map_err(|_| out_of_shape("key")))
            .collect::<Result<_, _>>()?,
        products: products
            .into_iter()
            .map(|row| {
                Ok(Product {
                    id: ProductId::new(row.product_id),
                    reference: row.reference,
                    price: Minor::new(row.price_minor).map_err(|_| out_of_shape("price"))?,
                    active: row.active,
                })
            })
            .collect::<Result<_, StoreError>>()?,
        ingredients: ingredients
            .into_iter()
            .map(|row| Ingredient {
                id: IngredientId::new(row.ingredient_id),
                reference: row.reference,
            })
            .collect(),
    }))
}

/// The merchant's customer of that name.
pub async fn customer(
    database: &Database,
    merchant: MerchantId,
    customer: &Reference,
) -> Result<Option<Customer>, StoreError> {
    let (id, reference) = match customer {
        Reference::Id(id) => (Some(*id), None),
        // No text in Postgres has this character, and none may ask for it.
        Reference::Own(text) if text.contains('\0') => return Ok(None),
        Reference::Own(text) => (None, Some(text.as_str())),
    };
    let row = sqlx::query!(
        "SELECT customer_id, email FROM customers WHERE merchant_id = $1 AND (customer_id = $2 OR reference = $3)",
        merchant.get(),
        id,
        reference
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| Customer {
        id: CustomerId::new(row.customer_id),
        email: row.email,
    }))
}

/// Tells whose catalogue changes, from the moment it was made until it fails.
pub struct Changes {
    listener: PgListener,
}

/// What one notification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Something of this merchant changed.
    Merchant(MerchantId),
    /// Anything may have changed: the notification is not understood.
    Anything,
}

impl Changes {
    /// Starts listening. What changed before is not told.
    pub async fn listen(database: &Database) -> Result<Self, StoreError> {
        let mut listener = PgListener::connect_with(database.pool()).await?;
        // After a lost connection the caller must know that it missed something, so it is the caller who connects again.
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(Self { listener })
    }

    /// Waits for the next change. After an error, or `None` for a lost connection, make a new one.
    pub async fn next(&mut self) -> Result<Option<Change>, StoreError> {
        let notification = self.listener.try_recv().await?;
        Ok(notification.map(|notification| {
            notification
                .payload()
                .parse()
                .map_or(Change::Anything, |id| Change::Merchant(MerchantId::new(id)))
        }))
    }
}
