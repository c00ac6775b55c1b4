//! How long an order takes at constant rates: from its POST to its `order_confirmed` readable on the topic, and from the
//! POST that makes an ingredient cross its threshold to the SMTP server's 250. All services are real processes.

mod shop;
mod watch;

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use mailcatcher::MailCatcher;
use serde::Serialize;
use testkit::Env;
use uuid::Uuid;

use crate::{
    corner,
    drain::quiet,
    figure::milliseconds,
    larder::{Service, free_address},
    load::Load,
    pace::{self, Plan, Reply},
    percentiles::Percentiles,
    processes::rss_mib,
};
use shop::Shop;
use watch::Watch;

/// Orders a second; the figures that stand alone are those of the second.
const RATES: [u32; 3] = [100, 1_000, 5_000];
const MAIL_RATE: u32 = 1_000;
/// Orders that make an ingredient cross, and how many orders there are to each of them.
const CROSSINGS: usize = 300;
const ORDERS_PER_CROSSING: usize = 30;
const CONNECTIONS: usize = 128;

/// What was measured, all in one run.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// At 1,000 orders a second, from POST to the order's last word on its topic.
    p50_ms: f64,
    p99_ms: f64,
    /// At 1,000 orders a second, from POST to 250.
    mail_p99_ms: f64,
    mail: Percentiles,
    rates: Vec<Rate>,
    services: Services,
}

/// One constant rate.
#[derive(Debug, Serialize)]
struct Rate {
    orders_per_s: u32,
    /// POST to 202.
    accepted: Percentiles,
    /// POST to `order_confirmed`.
    confirmed: Percentiles,
}

/// The services before anything is asked of them.
#[derive(Debug, Serialize)]
struct Services {
    ingest: Idle,
    stock: Idle,
    mailer: Idle,
}

#[derive(Debug, Serialize)]
struct Idle {
    ready_ms: f64,
    idle_rss_mb: f64,
}

/// Everything that runs.
struct Running {
    _services: [Service; 3],
    address: SocketAddr,
    mails: MailCatcher,
    watch: Watch,
}

pub(crate) async fn run(load: &Load) -> Result<Figures> {
    let env = Env::with_partitions(load.partitions).await;
    let shop = Shop::open(&env, load.merchants(), CROSSINGS, load.seed).await?;
    quiet(&env, u64::MAX).await?;
    let (running, services) = start(load, &env).await?;

    // Connections, caches, and one small order of each merchant whose stock is to cross later.
    running.orders(shop.warm_up(MAIL_RATE, load.time())).await?;
    let mut rates = Vec::new();
    for rate in RATES {
        let (accepted, confirmed) = running.orders(shop.everyday(rate, load.time())).await?;
        eprintln!(
            "{rate}/s: confirmed after p50 {} ms, p99 {} ms",
            confirmed.p50_ms, confirmed.p99_ms
        );
        rates.push(Rate {
            orders_per_s: rate,
            accepted,
            confirmed,
        });
    }
    let mail = running.crossings(&shop).await?;
    eprintln!("mailed after p50 {} ms, p99 {} ms", mail.p50_ms, mail.p99_ms);
    drop(running);
    corner::leave(env).await?;
    let middle = &rates[1].confirmed;
    Ok(Figures {
        p50_ms: middle.p50_ms,
        p99_ms: middle.p99_ms,
        mail_p99_ms: mail.p99_ms,
        mail,
        rates,
        services,
    })
}

/// Starts each service when the one before is ready, and looks at each once nothing happens.
async fn start(load: &Load, env: &Env) -> Result<(Running, Services)> {
    let mails = MailCatcher::start(mailcatcher::Config::default()).await?;
    let address = free_address()?;
    let mut mailer = Service::start(
        load,
        env,
        "mailer",
        &[
            ("SMTP_URL", mails.url()),
            ("MAIL_FROM", "larder@larder.example".to_owned()),
            ("MAILER_DIGEST_WINDOW", "0s".to_owned()),
        ],
    )?;
    let mailer_ready = mailer.ready().await?;
    let mut stock = Service::start(load, env, "stock", &[])?;
    let stock_ready = stock.ready().await?;
    let mut ingest = Service::start(load, env, "ingest", &[("LARDER_INGEST_LISTEN", address.to_string())])?;
    let ingest_ready = ingest.ready().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = |service: &Service, ready| Idle {
        ready_ms: milliseconds(ready),
        idle_rss_mb: rss_mib(service.pid()),
    };
    let services = Services {
        ingest: idle(&ingest, ingest_ready),
        stock: idle(&stock, stock_ready),
        mailer: idle(&mailer, mailer_ready),
    };
    let running = Running {
        _services: [mailer, stock, ingest],
        address,
        mails,
        watch: Watch::start(env, load.partitions)?,
    };
    Ok((running, services))
}

impl Running {
    /// Sends orders and waits until each is accepted and confirmed, each once; how long both took.
    async fn orders(&self, plan: Plan) -> Result<(Percentiles, Percentiles)> {
        let (replies, seen) = self.confirmed(plan).await?;
        let accepted = Percentiles::of(replies.iter().map(|reply| reply.answered - reply.due))?;
        let confirmed = replies.iter().map(|reply| {
            let order = reply.order.context("an order without an id")?;
            let seen = seen.get(&order).context("an order that was not confirmed")?;
            Ok(*seen - reply.due)
        });
        let confirmed: Vec<Duration> = confirmed.collect::<Result<_>>()?;
        Ok((accepted, Percentiles::of(confirmed)?))
    }

    async fn confirmed(&self, plan: Plan) -> Result<(Vec<Reply>, HashMap<Uuid, Instant>)> {
        let orders = plan.order.len();
        let replies = pace::run(self.address, CONNECTIONS, plan).await?;
        if let Some(other) = replies.iter().find(|reply| reply.status != 202) {
            anyhow::bail!(
                "an order was answered {} instead of 202: see the logs above",
                other.status
            );
        }
        ensure!(replies.len() == orders, "{} answers to {orders} orders", replies.len());
        Ok((replies, self.watch.wait_for(orders).await?))
    }

    /// Sends orders some of which make an ingredient cross, and waits for the mail of each of those.
    async fn crossings(&self, shop: &Shop) -> Result<Percentiles> {
        let (replies, _) = self.confirmed(shop.crossing(MAIL_RATE, ORDERS_PER_CROSSING)).await?;
        let due: HashMap<usize, Instant> = replies
            .iter()
            .filter(|reply| reply.number % ORDERS_PER_CROSSING == 0)
            .map(|reply| (reply.number / ORDERS_PER_CROSSING, reply.due))
            .collect();
        let mails = self.mails.wait_for(CROSSINGS, Duration::from_mins(1)).await?;
        let mut latencies = HashMap::new();
        for mail in &mails {
            let subject = mail.subject().context("a mail without a subject")?;
            let crossing = shop
                .crossing_of(&subject)
                .with_context(|| format!("a mail that nobody expected: {subject}"))?;
            let due = due.get(&crossing).context("a mail before its order")?;
            let twice = latencies.insert(crossing, mail.accepted - *due);
            ensure!(twice.is_none(), "two mails of one crossing: {subject}");
        }
        ensure!(
            latencies.len() == CROSSINGS,
            "{} mails of {CROSSINGS} crossings",
            latencies.len()
        );
        Percentiles::of(latencies.into_values())
    }
}
