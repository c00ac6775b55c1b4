//! What must come of a backlog, worked out from the topic by a few lines of their own, and whether a peer did it.

use std::{
    collections::{HashMap, HashSet},
    fs,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use domain::ids::OrderId;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use schemas::{
    Event,
    events::{Notify, OrderConfirmed, OrderCreated, StockRejected},
    topics::ORDER_CREATED,
};
use testkit::Env;

use super::work::Work;

/// Merchant and ingredient.
type Ingredient = (i64, i64);

/// How much there is of an ingredient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) on_hand: i64,
    /// Whether it was told to be low.
    pub(crate) low: bool,
}

/// What must come of a backlog.
pub(crate) struct Truth {
    /// Whether an order is confirmed.
    orders: HashMap<OrderId, bool>,
    levels: HashMap<Ingredient, Level>,
    /// What is told to be low.
    alerts: HashSet<Ingredient>,
    /// What merchants with orders have.
    touched: HashSet<i64>,
}

struct Catalogue {
    /// By merchant and product: ingredient and amount.
    recipes: HashMap<(i64, i64), Vec<(i64, i64)>>,
    /// Full level and threshold in percent.
    thresholds: HashMap<Ingredient, (i64, i64)>,
}

impl Truth {
    /// Reads the whole backlog, in the order of each partition.
    pub(crate) async fn of(work: &Work) -> Result<Self> {
        let (catalogue, levels) = catalogue(work)?;
        let mut truth = Self {
            orders: HashMap::new(),
            levels,
            alerts: HashSet::new(),
            touched: HashSet::new(),
        };
        let topic = work.env.names().topic(&ORDER_CREATED);
        read(&work.env, &topic, |order: OrderCreated| truth.apply(&catalogue, &order)).await?;
        ensure!(
            truth.orders.len() as u64 == work.orders,
            "{} of {} orders are on the topic",
            truth.orders.len(),
            work.orders
        );
        Ok(truth)
    }

    fn apply(&mut self, catalogue: &Catalogue, order: &OrderCreated) -> Result<()> {
        let merchant = order.merchant_id.get();
        let mut need: HashMap<Ingredient, i64> = HashMap::new();
        for line in &order.lines {
            let recipe = catalogue.recipes.get(&(merchant, line.product_id.get()));
            for (ingredient, amount) in recipe.context("an order of what nobody sells")? {
                *need.entry((merchant, *ingredient)).or_default() += amount * i64::from(line.quantity);
            }
        }
        let confirmed = need.iter().all(|(which, amount)| self.levels[which].on_hand >= *amount);
        if confirmed {
            for (which, amount) in need {
                let level = self.levels.get_mut(&which).context("an ingredient without a level")?;
                level.on_hand -= amount;
                let (full, percent) = catalogue.thresholds[&which];
                if level.on_hand * 100 < full * percent && !level.low {
                    level.low = true;
                    self.alerts.insert(which);
                }
            }
        }
        self.touched.insert(merchant);
        ensure!(
            self.orders.insert(order.order_id, confirmed).is_none(),
            "an order stands in the backlog twice"
        );
        Ok(())
    }

    /// So many are confirmed, so many rejected, so much is told to be low.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let confirmed = self.orders.values().filter(|confirmed| **confirmed).count();
        (confirmed, self.orders.len() - confirmed, self.alerts.len())
    }

    /// Every order's outcome is told once and is the right one, and so is every alert.
    pub(crate) async fn check_events(&self, work: &Work, run: &str) -> Result<()> {
        let [confirmed, rejected, notify] = work.topics(run);
        let mut told = HashMap::with_capacity(self.orders.len());
        let mut tell = |order, confirmed| {
            let before = told.insert(order, confirmed);
            ensure!(before.is_none(), "{run}: the outcome of {order} is told twice");
            Ok(())
        };
        read(&work.env, &confirmed, |event: OrderConfirmed| {
            tell(event.order_id, true)
        })
        .await?;
        read(&work.env, &rejected, |event: StockRejected| tell(event.order_id, false)).await?;
        ensure!(
            told == self.orders,
            "{run}: {} outcomes are told of {} orders, or some are wrong",
            told.len(),
            self.orders.len()
        );
        let mut alerts = HashSet::new();
        read(&work.env, &notify, |event: Notify| {
            let which = (event.merchant_id.get(), event.ingredient_id.get());
            ensure!(alerts.insert(which), "{run}: {which:?} is told to be low twice");
            Ok(())
        })
        .await?;
        ensure!(
            alerts == self.alerts,
            "{run}: {} alerts instead of {}",
            alerts.len(),
            self.alerts.len()
        );
        Ok(())
    }

    /// Every level is what the orders leave; merchants without any order may be missing.
    pub(crate) fn check_levels(&self, run: &str, held: &HashMap<Ingredient, Level>) -> Result<()> {
        for (which, level) in &self.levels {
            match held.get(which) {
                Some(held) => ensure!(held == level, "{run}: {which:?} has {held:?} instead of {level:?}"),
                None if self.touched.contains(&which.0) => bail!("{run}: {which:?} has no level"),
                None => {}
            }
        }
        Ok(())
    }

    /// There is a row for every order, with its outcome.
    pub(crate) fn check_rows(&self, run: &str, confirmed: i64, rejected: i64) -> Result<()> {
        let (wanted, wanted_not, _) = self.counts();
        ensure!(
            (usize::try_from(confirmed)?, usize::try_from(rejected)?) == (wanted, wanted_not),
            "{run}: {confirmed} rows of confirmed and {rejected} of rejected orders instead of {wanted} and {wanted_not}"
        );
        Ok(())
    }
}

/// The recipes and the first levels, from the files that the peers get.
fn catalogue(work: &Work) -> Result<(Catalogue, HashMap<Ingredient, Level>)> {
    let mut catalogue = Catalogue {
        recipes: HashMap::new(),
        thresholds: HashMap::new(),
    };
    let mut levels = HashMap::new();
    for row in numbers(work, "recipes.tsv", [0, 1, 2, 3])? {
        let [merchant, product, ingredient, amount] = row;
        let recipe = catalogue.recipes.entry((merchant, product)).or_default();
        recipe.push((ingredient, amount));
    }
    for row in numbers(work, "ingredients.tsv", [0, 3, 6, 7, 8])? {
        let [merchant, ingredient, on_hand, full, percent] = row;
        catalogue.thresholds.insert((merchant, ingredient), (full, percent));
        let low = on_hand * 100 < full * percent;
        levels.insert((merchant, ingredient), Level { on_hand, low });
    }
    Ok((catalogue, levels))
}

fn numbers<const N: usize>(work: &Work, file: &str, columns: [usize; N]) -> Result<Vec<[i64; N]>> {
    let text = fs::read_to_string(work.catalogue.join(file))?;
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let mut row = [0; N];
            for (number, column) in row.iter_mut().zip(columns) {
                *number = fields.get(column).context("a row that is too short")?.parse()?;
            }
            Ok(row)
        })
        .collect()
}

/// Reads all that is committed on a topic, each partition in its order.
async fn read<E: Event>(env: &Env, topic: &str, mut each: impl FnMut(E) -> Result<()>) -> Result<()> {
    let reader = env.schemas().reader::<E>().await?;
    let consumer: BaseConsumer = env
        .kafka
        .client()
        .set("group.id", format!("{topic}.truth"))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(30))?;
    let mut open: HashSet<i32> = metadata.topics()[0]
        .partitions()
        .iter()
        .map(rdkafka::metadata::MetadataPartition::id)
        .collect();
    let mut all = TopicPartitionList::new();
    for partition in &open {
        all.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    while !open.is_empty() {
        match consumer.poll(Duration::from_secs(20)) {
            None => bail!("{topic} is not read to its end in 20 s"),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(message) => each(reader.decode(message?.payload()).await?)?,
        }
    }
    Ok(())
}
