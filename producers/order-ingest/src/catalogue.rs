//! What merchants sell, kept in memory, so that a request for what was asked before touches no database.
//!
//! An entry is dropped when Postgres tells that its merchant changed, and everything is dropped when telling was
//! interrupted. An entry that grew old is read again in the background, so that a change that was never told is seen
//! all the same. While Postgres is away, what is in memory stays.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::{
    ids::{IngredientId, MerchantId, ProductId, Reference},
    money::Currency,
};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use moka::future::Cache as Expiring;
use quick_cache::{Weighter, sync::Cache};
use store::{
    Database, StoreError,
    catalogue::{self, Change, Changes, Customer, Product},
};
use tokio::sync::Semaphore;

use crate::{
    config::Limits,
    metrics::Metrics,
    problem::{Code, Problem},
};

/// The most products and ingredients kept, over all merchants, and how many merchants are thought to have them.
const MAX_ENTRIES: u64 = 5_000_000;
const MERCHANTS: usize = 100_000;
/// The most customers kept.
const MAX_CUSTOMERS: usize = 1_000_000;
/// The most API keys kept, valid and not.
const MAX_KEYS: usize = 200_000;
const MAX_STRANGERS: u64 = 10_000;
/// How long a key that nobody has is not asked for again.
const STRANGER_AGE: Duration = Duration::from_secs(5);
/// How many keys that are not in memory are asked for at a time: guessing must not take all connections.
const KEY_LOOKUPS: usize = 2;
/// How long to wait before Postgres is asked again after it failed.
const RETRY: Duration = Duration::from_secs(1);

type KeyHash = [u8; 32];

/// A merchant as an order is checked against it.
#[derive(Debug)]
pub(crate) struct Merchant {
    pub(crate) id: MerchantId,
    pub(crate) currency: Currency,
    keys: Vec<KeyHash>,
    products: HashMap<ProductId, Product>,
    product_names: HashMap<String, ProductId>,
    ingredients: HashMap<i64, IngredientId>,
    ingredient_names: HashMap<String, IngredientId>,
    /// Which reading this is; customers are remembered under it, and so forgotten with it.
    generation: u64,
    /// How many changes had been told when it was read.
    changes: u64,
    /// When it is to be read again, in milliseconds since the catalogue was made.
    refresh_at: AtomicU64,
}

impl Merchant {
    /// What the merchant sells under that name, active or not.
    pub(crate) fn product(&self, name: &Reference) -> Option<&Product> {
        let id = match name {
            Reference::Id(id) => ProductId::new(*id),
            Reference::Own(text) => *self.product_names.get(text)?,
        };
        self.products.get(&id)
    }

    /// What the merchant's products are made of.
    pub(crate) fn ingredient(&self, name: &Reference) -> Option<IngredientId> {
        match name {
            Reference::Id(id) => self.ingredients.get(id).copied(),
            Reference::Own(text) => self.ingredient_names.get(text).copied(),
        }
    }

    fn entries(&self) -> usize {
        1 + self.keys.len() + self.products.len() + self.ingredients.len()
    }
}

#[derive(Clone)]
struct Entries;

impl Weighter<MerchantId, Arc<Merchant>> for Entries {
    fn weight(&self, _: &MerchantId, merchant: &Arc<Merchant>) -> u64 {
        merchant.entries() as u64
    }
}

/// A merchant that is being read, for everybody who waits for it.
type Reading = Shared<BoxFuture<'static, Result<Option<Arc<Merchant>>, Problem>>>;

/// The catalogue in memory.
pub(crate) struct Catalogue {
    database: Database,
    metrics: Metrics,
    timeout: Duration,
    age: Duration,
    started: Instant,
    keys: Cache<KeyHash, MerchantId>,
    strangers: Expiring<KeyHash, ()>,
    merchants: Cache<MerchantId, Arc<Merchant>, Entries>,
    readings: Mutex<HashMap<MerchantId, Reading>>,
    customers: Cache<(u64, Reference), Option<Arc<Customer>>>,
    key_lookups: Semaphore,
    generations: AtomicU64,
    changes: AtomicU64,
}

impl Catalogue {
    pub(crate) fn new(database: Database, metrics: Metrics, limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            database,
            metrics,
            timeout: limits.database_timeout,
            age: limits.catalogue_age,
            started: Instant::now(),
            keys: Cache::new(MAX_KEYS),
            strangers: Expiring::builder()
                .max_capacity(MAX_STRANGERS)
                .time_to_live(STRANGER_AGE)
                .build(),
            merchants: Cache::with_weighter(MERCHANTS, MAX_ENTRIES, Entries),
            readings: Mutex::default(),
            customers: Cache::new(MAX_CUSTOMERS),
            key_lookups: Semaphore::new(KEY_LOOKUPS),
            generations: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        })
    }

    /// The merchant who has this key.
    pub(crate) async fn merchant_of_key(self: &Arc<Self>, key: &KeyHash) -> Result<Option<Arc<Merchant>>, Problem> {
        let id = match self.keys.get(key) {
            Some(id) => id,
            None if self.strangers.contains_key(key) => return Ok(None),
            None => match self.look_up_key(*key).await? {
                Some(id) => id,
                None => return Ok(None),
            },
        };
        let merchant = self.merchant(id).await?;
        // The merchant knows its keys of today; where the key was found is older.
        Ok(merchant.filter(|merchant| merchant.keys.contains(key)))
    }

    /// The merchant's customer of that name.
    pub(crate) async fn customer(
        self: &Arc<Self>,
        merchant: &Merchant,
        name: &Reference,
    ) -> Result<Option<Arc<Customer>>, Problem> {
        let entry = (merchant.generation, name.clone());
        if let Some(known) = self.customers.get(&entry) {
            return Ok(known);
        }
        self.metrics.catalogue_reads.with_label_values(&["customer"]).inc();
        let (this, id, wanted) = (Arc::clone(self), merchant.id, name.clone());
        let read = async move { catalogue::customer(&this.database, id, &wanted).await };
        let found = apart(self.timeout, read).await?.map(Arc::new);
        self.customers.insert(entry, found.clone());
        Ok(found)
    }

    /// Follows what Postgres tells, until it fails.
    pub(crate) async fn follow(&self, listening: impl Fn()) -> Result<(), StoreError> {
        let mut changes = Changes::listen(&self.database).await?;
        // Whatever changed before this moment was not told.
        self.forget(Change::Anything);
        listening();
        while let Some(change) = changes.next().await? {
            self.forget(change);
        }
        Ok(())
    }

    fn forget(&self, change: Change) {
        // First the count: whoever reads at this moment finds that it may have read too early.
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.strangers.invalidate_all();
        match change {
            Change::Merchant(merchant) => drop(self.merchants.remove(&merchant)),
            Change::Anything => self.merchants.clear(),
        }
    }

    async fn look_up_key(self: &Arc<Self>, key: KeyHash) -> Result<Option<MerchantId>, Problem> {
        let permit = tokio::time::timeout(self.timeout, self.key_lookups.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Err(Problem::new(
                Code::DatabaseUnavailable,
                "too many unknown API keys are being looked up",
            ));
        };
        self.metrics.catalogue_reads.with_label_values(&["key"]).inc();
        let this = Arc::clone(self);
        let found = apart(self.timeout, async move {
            catalogue::merchant_of_key(&this.database, &key).await
        })
        .await?;
        match found {
            Some(merchant) => self.keys.insert(key, merchant),
            None => self.strangers.insert(key, ()).await,
        }
        Ok(found)
    }

    async fn merchant(self: &Arc<Self>, id: MerchantId) -> Result<Option<Arc<Merchant>>, Problem> {
        if let Some(known) = self.merchants.get(&id) {
            self.refresh_if_old(&known);
            return Ok(Some(known));
        }
        // Those who ask at the same time wait for one reading.
        let reading = self.readings().entry(id).or_insert_with(|| self.begin(id)).clone();
        let read = reading.await;
        self.readings().remove(&id);
        read
    }

    fn readings(&self) -> MutexGuard<'_, HashMap<MerchantId, Reading>> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a merchant in a task of its own: others may wait for what one client began and then left.
    fn begin(self: &Arc<Self>, id: MerchantId) -> Reading {
        let this = Arc::clone(self);
        let reading = tokio::spawn(async move {
            let read = this.read(id).await?;
            if let Some(merchant) = &read {
                this.merchants.insert(id, Arc::clone(merchant));
                this.drop_if_overtaken(merchant);
            }
            Ok(read)
        });
        let reading = reading.map(|read| read.unwrap_or_else(|panicked| Err(Problem::internal(&panicked))));
        reading.boxed().shared()
    }

    /// A change that is told while a merchant is read may be missing in what was read: it serves once.
    fn drop_if_overtaken(&self, merchant: &Merchant) {
        if merchant.changes != self.changes.load(Ordering::SeqCst) {
            self.merchants.remove(&merchant.id);
        }
    }

    fn refresh_if_old(self: &Arc<Self>, known: &Arc<Merchant>) {
        let now = self.now();
        let due = known.refresh_at.load(Ordering::Relaxed);
        if now < due {
            return;
        }
        // One reader takes it on; should it fail, the next tries a little later.
        let next = now + millis(self.timeout + RETRY);
        if known
            .refresh_at
            .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            return;
        }
        let (this, id) = (Arc::clone(self), known.id);
        tokio::spawn(async move {
            match this.read(id).await {
                Ok(Some(merchant)) => {
                    this.merchants.insert(id, Arc::clone(&merchant));
                    this.drop_if_overtaken(&merchant);
                }
                Ok(None) => drop(this.merchants.remove(&id)),
                // Logged where it was met; what is known serves on.
                Err(_) => {}
            }
        });
    }

    async fn read(self: &Arc<Self>, id: MerchantId) -> Result<Option<Arc<Merchant>>, Problem> {
        self.metrics.catalogue_reads.with_label_values(&["merchant"]).inc();
        let changes = self.changes.load(Ordering::SeqCst);
        let this = Arc::clone(self);
        let Some(merchant) = apart(
            self.timeout,
            async move { catalogue::merchant(&this.database, id).await },
        )
        .await?
        else {
            return Ok(None);
        };
        let product_names = merchant
            .products
            .iter()
            .filter_map(|product| Some((product.reference.clone()?, product.id)))
            .collect();
        let ingredients = merchant
            .ingredients
            .iter()
            .map(|ingredient| (ingredient.id.get(), ingredient.id))
            .collect();
        Ok(Some(Arc::new(Merchant {
            id,
            currency: merchant.currency,
            keys: merchant.keys,
            product_names,
            products: merchant
                .products
                .into_iter()
                .map(|product| (product.id, product))
                .collect(),
            ingredients,
            ingredient_names: merchant
                .ingredients
                .into_iter()
                .filter_map(|ingredient| Some((ingredient.reference?, ingredient.id)))
                .collect(),
            generation: self.generations.fetch_add(1, Ordering::Relaxed),
            changes,
            refresh_at: AtomicU64::new(self.now() + millis(self.age)),
        })))
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

/// Asks Postgres in a task of its own: a request that is dropped half-way must not leave a connection half-used.
pub(crate) async fn apart<T: Send + 'static>(
    timeout: Duration,
    query: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::time::timeout(timeout, tokio::spawn(query)).await {
        Ok(Ok(result)) => Ok(result?),
        Ok(Err(panicked)) => Err(Problem::internal(&panicked)),
        Err(_) => Err(Problem::new(Code::DatabaseUnavailable, "try again in a moment")),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
