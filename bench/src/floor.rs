//! The floor: what a pipeline costs that reads orders, stores a row of each and publishes an event of each, and decides
//! nothing.
//!
//! It uses what the stock-processor uses to decode, to write rows and to publish, with as many connections and the same
//! cap of a batch, and its stages overlap. It has no stock, no demand in its rows, one event an order instead of two, no
//! progress to keep, no group to be in, no dead letters. Nothing counts before its row is committed and its event
//! acknowledged by Kafka.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use schemas::{
    WriterSchema,
    events::{OrderConfirmed, OrderCreated},
    topics::{ORDER_CONFIRMED, ORDER_CREATED},
};
use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, PgConnection};
use store::batch::{self, OrderOutcome, OrderRow};
use stream::{Batch, Producer, ProducerTuning, SendError, Writer, cloud_events, now, wire};
use testkit::Env;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    backlog::TRACE,
    corner,
    drain::quiet,
    figure::per_second,
    processes::{self, Cpu, Meter, Servers},
};

/// Orders read before it is looked whether the connection is free.
const BURST: u64 = 512;

/// What the floor reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) per_s: f64,
    pub(crate) cpu: Cpu,
}

/// An order and where it stood.
struct Read {
    order: OrderCreated,
    partition: i32,
    offset: i64,
}

/// How far all workers are.
#[derive(Default)]
struct Progress {
    /// When the first batch was committed, and how many orders it had: the clock of the drain starts there, too.
    first: OnceLock<(Instant, u64)>,
    told: AtomicU64,
}

/// Carries the orders on the topic of `env` into a database and onto topics of its own.
pub(crate) async fn run(env: &Env, partitions: i32, orders: u64) -> Result<Floor> {
    // As the stock-processor has it unless told otherwise.
    let stock = stock_processor::Args::default();
    let (workers, most) = (i32::from(stock.connections), usize::try_from(stock.batch_records)?);
    let into = Env::with_partitions(partitions).await;
    let servers = Servers::find();
    let publisher = Arc::new(Publisher::open(&into).await?);
    let mut connections = Vec::new();
    for _ in 0..workers {
        connections.push(PgConnection::connect(into.database.url.expose_secret()).await?);
    }
    quiet(&into, orders).await?;

    let progress = Arc::new(Progress::default());
    let own = std::process::id();
    let started = Instant::now();
    let meter = Meter::start(servers, processes::cpu_seconds(own));
    let mut stages = JoinSet::new();
    for (worker, connection) in (0..workers).zip(connections) {
        let mine: Vec<i32> = (0..partitions)
            .filter(|partition| partition % workers == worker)
            .collect();
        // One batch waits while one is written: the next grows until then.
        let (to_writer, read) = mpsc::channel(1);
        let (to_publisher, written) = mpsc::channel(1);
        let (consumer, schema) = (consumer(env, &mine)?, WriterSchema::newest());
        thread::spawn(move || {
            if let Err(error) = read_all(&consumer, &schema, most, &to_writer) {
                eprintln!("the floor cannot read: {error:#}");
            }
        });
        stages.spawn(write(connection, read, to_publisher, Arc::clone(&progress)));
        stages.spawn(publish(Arc::clone(&publisher), written, Arc::clone(&progress)));
    }
    let told = async {
        while progress.told.load(Ordering::Acquire) < orders {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    };
    tokio::select! {
        done = told => done,
        Some(failed) = stages.join_next() => failed?.and(Err(anyhow::anyhow!("the floor stopped before its end"))),
    }?;
    let (at, before) = *progress.first.get().context("nothing was written")?;
    let floor = Floor {
        per_s: match orders - before {
            0 => per_second(orders, started.elapsed()),
            rest => per_second(rest, at.elapsed()),
        },
        cpu: meter.per_order(processes::cpu_seconds(own), orders),
    };
    stages.shutdown().await;
    eprintln!("floor at {:.0}/s", floor.per_s);
    let rows = into.count("SELECT count(*) FROM orders").await;
    let told: i64 = into.ends(&into.names().topic(&ORDER_CONFIRMED)).await.iter().sum();
    ensure!(
        u64::try_from(rows)? == orders && told == rows,
        "the floor has {rows} rows and {told} events for {orders} orders"
    );
    corner::leave(into).await?;
    Ok(floor)
}

fn consumer(env: &Env, partitions: &[i32]) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = env
        .kafka
        .client()
        .set("group.id", format!("{}floor", env.names().prefix))
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.max.messages.kbytes", "32768")
        .create()?;
    let topic = env.names().topic(&ORDER_CREATED);
    let mut all = TopicPartitionList::new();
    for partition in partitions {
        all.add_partition_offset(&topic, *partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    Ok(consumer)
}

/// Reads and decodes until nobody takes it any more.
fn read_all(
    consumer: &BaseConsumer,
    schema: &WriterSchema<OrderCreated>,
    most: usize,
    to_writer: &mpsc::Sender<Vec<Read>>,
) -> Result<()> {
    let mut batch = Vec::new();
    let mut burst = 0;
    while !to_writer.is_closed() {
        let wait = if batch.is_empty() { 100 } else { 1 };
        let message = consumer.poll(Duration::from_millis(wait));
        let idle = message.is_none();
        if let Some(message) = message {
            let message = message?;
            let (_, value) = message
                .payload()
                .and_then(wire::parse)
                .context("a record without a value")?;
            batch.push(Read {
                order: schema.decode(value)?,
                partition: message.partition(),
                offset: message.offset(),
            });
            burst += 1;
        }
        if batch.is_empty() || (burst < BURST && !idle) {
            continue;
        }
        burst = 0;
        if batch.len() >= most {
            if to_writer.blocking_send(std::mem::take(&mut batch)).is_err() {
                break;
            }
        } else if let Ok(room) = to_writer.try_reserve() {
            room.send(std::mem::take(&mut batch));
        }
    }
    Ok(())
}

async fn write(
    mut connection: PgConnection,
    mut read: mpsc::Receiver<Vec<Read>>,
    to_publisher: mpsc::Sender<Vec<Read>>,
    progress: Arc<Progress>,
) -> Result<()> {
    while let Some(orders) = read.recv().await {
        let decided_at = now();
        let rows = orders.iter().map(|read| OrderRow {
            order: &read.order,
            outcome: OrderOutcome::Confirmed(&[]),
            decided_at,
            partition: read.partition,
            offset: read.offset,
        });
        let rows = batch::Batch {
            orders: rows.collect(),
            ..batch::Batch::default()
        };
        batch::apply(&mut connection, &rows).await?;
        drop(rows);
        progress.first.get_or_init(|| (Instant::now(), orders.len() as u64));
        to_publisher.send(orders).await?;
    }
    Ok(())
}

async fn publish(
    publisher: Arc<Publisher>,
    mut written: mpsc::Receiver<Vec<Read>>,
    progress: Arc<Progress>,
) -> Result<()> {
    while let Some(orders) = written.recv().await {
        let count = orders.len() as u64;
        publisher.publish(orders).await?;
        progress.told.fetch_add(count, Ordering::AcqRel);
    }
    Ok(())
}

struct Publisher {
    producer: Producer,
    writer: Writer<OrderConfirmed>,
    topic: String,
}

impl Publisher {
    async fn open(env: &Env) -> Result<Self> {
        let tuning = ProducerTuning {
            linger: Duration::from_millis(1),
            message_timeout: Duration::from_mins(1),
            queue_records: 200_000,
            queue_kbytes: 96 * 1024,
        };
        Ok(Self {
            producer: Producer::new(&env.kafka, &tuning)?,
            writer: env.schemas().writer().await?,
            topic: env.names().topic(&ORDER_CONFIRMED),
        })
    }

    async fn publish(&self, orders: Vec<Read>) -> Result<()> {
        let batch = Batch::new();
        let at = now();
        for Read { order, .. } in orders {
            let key = order.merchant_id.to_string();
            let event = OrderConfirmed {
                order_id: order.order_id,
                merchant_id: order.merchant_id,
                customer_id: order.customer_id,
                customer_email: order.customer_email,
                total_minor: order.total_minor,
                currency: order.currency,
                confirmed_at: at,
            };
            let value = self.writer.encode(&event)?;
            loop {
                let headers = cloud_events(&ORDER_CONFIRMED, order.order_id, at, Some(TRACE));
                match self
                    .producer
                    .send_in(&batch, &self.topic, Some(key.as_bytes()), Some(&value), headers)
                {
                    Err(SendError::QueueFull) => tokio::time::sleep(Duration::from_millis(2)).await,
                    done => break done?,
                }
            }
        }
        Ok(batch.acknowledged().await?)
    }
}
