//! Earlier orders of an `Idempotency-Key`, as Postgres has them.
//!
//! Each keyed order asks for its own. Those that ask while Postgres answers others share the next query, so that one
//! order alone waits for nobody and many cost little more than one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::ids::{MerchantId, OrderId};
use store::{Database, orders::Order};
use tokio::sync::oneshot;

use crate::catalogue::apart;

/// How long Postgres is not asked after it failed to answer.
const PAUSE: Duration = Duration::from_secs(1);
/// The most orders in one query.
const MOST: usize = 1000;

/// Asks Postgres for orders that may have been placed before.
pub(crate) struct Replay {
    database: Database,
    timeout: Duration,
    paused: AtomicBool,
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    waiting: Vec<Ask>,
    /// Somebody takes from those who wait.
    served: bool,
}

struct Ask {
    merchant: MerchantId,
    order: OrderId,
    answer: oneshot::Sender<Option<Order>>,
}

impl Replay {
    pub(crate) fn new(database: Database, timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            database,
            timeout,
            paused: AtomicBool::new(false),
            asked: Mutex::default(),
        })
    }

    /// The order of this key as Postgres has it. Where Postgres does not answer in time there is none: should the order
    /// be there already, the stock-processor drops the second.
    pub(crate) async fn find(self: &Arc<Self>, merchant: MerchantId, order: OrderId) -> Option<Order> {
        if self.paused.load(Ordering::Relaxed) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            merchant,
            order,
            answer,
        };
        let served = {
            let mut asked = self.asked();
            asked.waiting.push(ask);
            std::mem::replace(&mut asked.served, true)
        };
        if !served {
            tokio::spawn(Arc::clone(self).serve());
        }
        if let Ok(Ok(found)) = tokio::time::timeout(self.timeout, answered).await {
            return found;
        }
        self.pause();
        None
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers until nobody waits.
    async fn serve(self: Arc<Self>) {
        loop {
            let asks: Vec<Ask> = {
                let mut asked = self.asked();
                let count = asked.waiting.len().min(MOST);
                asked.served = count > 0;
                asked.waiting.drain(..count).collect()
            };
            if asks.is_empty() {
                return;
            }
            self.answer(asks).await;
        }
    }

    async fn answer(&self, asks: Vec<Ask>) {
        let orders: Vec<_> = asks.iter().map(|ask| (ask.merchant, ask.order)).collect();
        let database = self.database.clone();
        let found = apart(self.timeout, async move {
            store::orders::find_all(&database, &orders).await
        });
        // Logged where it was met. Who asked sees that there is no answer.
        let Ok(found) = found.await else { return };
        let mut found: HashMap<_, _> = found
            .into_iter()
            .map(|order| ((order.merchant_id, order.id), order))
            .collect();
        for ask in asks {
            // Who asked may have left.
            drop(ask.answer.send(found.remove(&(ask.merchant, ask.order))));
        }
    }

    fn pause(self: &Arc<Self>) {
        if self.paused.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(pause = ?PAUSE, "earlier orders are not looked up: postgres does not answer");
        let this = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(PAUSE).await;
            this.paused.store(false, Ordering::Relaxed);
        });
    }
}
