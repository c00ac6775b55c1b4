//! Posting orders from one thread of its own, as light as it can be: the cores are shared with what is measured.

use std::{
    cell::{Cell, RefCell},
    fs,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use tokio::task::LocalSet;
use uuid::Uuid;

use super::orders::Requests;
use crate::http::Connection;

/// How orders are posted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) connections: u32,
    pub(super) time: Duration,
    /// Orders a second, whether or not the ones before are answered; without it, each connection's next follows its
    /// last answer.
    pub(super) rate: Option<f64>,
    /// With an `Idempotency-Key` of its own each.
    pub(super) keyed: bool,
}

/// What came of it.
pub(super) struct Outcome {
    /// The ids that were answered 202.
    pub(super) accepted: Vec<Uuid>,
    /// In microseconds; at a rate, from the moment the order was due.
    pub(super) latency: Histogram<u64>,
    pub(super) took: Duration,
    /// Processor time of this thread.
    pub(super) cpu: Duration,
}

struct Shared {
    address: SocketAddr,
    requests: Arc<Requests>,
    plan: Plan,
    started: Instant,
    /// The number of the next order.
    next: Cell<u64>,
    /// What the numbers of this run begin with, so that no key comes twice.
    first: u64,
    accepted: RefCell<Vec<Uuid>>,
    latency: RefCell<Histogram<u64>>,
}

/// Posts until the time is over and every answer is there. `first` is above every number used before.
pub(super) async fn post(address: SocketAddr, requests: &Arc<Requests>, plan: Plan, first: u64) -> Result<Outcome> {
    let requests = Arc::clone(requests);
    let posting = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, Shared::run(address, requests, plan, first))
    };
    let thread = thread::Builder::new().name("generator".to_owned()).spawn(posting)?;
    tokio::task::spawn_blocking(|| thread.join())
        .await?
        .map_err(|_| anyhow::anyhow!("the load generator panicked"))?
}

impl Shared {
    async fn run(address: SocketAddr, requests: Arc<Requests>, plan: Plan, first: u64) -> Result<Outcome> {
        let mut connections = Vec::new();
        for _ in 0..plan.connections {
            connections.push(Connection::open(address).await?);
        }
        let cpu = thread_cpu()?;
        let shared = Rc::new(Self {
            address,
            requests,
            plan,
            started: Instant::now(),
            next: Cell::new(0),
            first,
            accepted: RefCell::default(),
            latency: RefCell::new(Histogram::new(3)?),
        });
        let posting: Vec<_> = connections
            .into_iter()
            .map(|connection| tokio::task::spawn_local(Rc::clone(&shared).post_all(connection)))
            .collect();
        for connection in posting {
            connection.await??;
        }
        Ok(Outcome {
            accepted: shared.accepted.take(),
            latency: shared.latency.borrow().clone(),
            took: shared.started.elapsed(),
            cpu: thread_cpu()?.saturating_sub(cpu),
        })
    }

    async fn post_all(self: Rc<Self>, mut connection: Connection) -> Result<()> {
        let requests = self.requests.of(self.plan.keyed);
        let end = self.started + self.plan.time;
        let mut bytes = Vec::with_capacity(1024);
        for number in std::iter::repeat_with(|| self.next.replace(self.next.get() + 1)) {
            let due = match self.plan.rate {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a schedule is exact enough to the 2^53rd order"
                )]
                Some(rate) => self.started + Duration::from_secs_f64(number as f64 / rate),
                None => Instant::now(),
            };
            if due >= end {
                break;
            }
            if self.plan.rate.is_some() {
                tokio::time::sleep_until(due.into()).await;
            }
            let at = usize::try_from(number)? % requests.len();
            requests[at].write(self.first + number, &mut bytes);
            let answer = connection.exchange(&bytes).await?;
            let text = || String::from_utf8_lossy(answer.body).into_owned();
            ensure!(
                answer.status == 202,
                "{} answered {} to an order: {}",
                self.address,
                answer.status,
                text()
            );
            let micros = u64::try_from(due.elapsed().as_micros())?;
            self.latency.borrow_mut().record(micros)?;
            let id = id(answer.body).with_context(|| format!("an order without an id: {}", text()))?;
            self.accepted.borrow_mut().push(id);
        }
        Ok(())
    }
}

/// The id with which the order in an answer begins.
fn id(body: &[u8]) -> Option<Uuid> {
    Uuid::try_parse_ascii(body.strip_prefix(b"{\"id\":\"")?.get(..36)?).ok()
}

fn thread_cpu() -> Result<Duration> {
    let said = fs::read_to_string("/proc/thread-self/schedstat").context("the kernel does not count threads' time")?;
    let nanos = said.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Ok(Duration::from_nanos(nanos.context("schedstat is not what it was")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_begins_with_the_orders_id() {
        let body = br#"{"id":"01994d2a-0000-7000-8000-000000000001","status":"pending"}"#;
        assert_eq!(id(body).expect("an id").get_version_num(), 7);
        assert_eq!(id(b"{}"), None);
    }
}
