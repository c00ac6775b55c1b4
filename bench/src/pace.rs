//! Requests at a constant rate, whatever the server does: an open loop.
//!
//! Each request has a moment at which it is due, and latency counts from there: when every connection waits for the
//! server, what is sent late because of that is charged to the server, not left out.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{net::tcp::OwnedWriteHalf, task::JoinSet};
use uuid::Uuid;

use crate::http::{Answer, Answers, Connection};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent, and how fast.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Requests a second.
    pub(crate) rate: u32,
    /// The bytes of requests, made beforehand.
    pub(crate) requests: Arc<[Vec<u8>]>,
    /// Which of them is sent as the first, the second, …
    pub(crate) order: Vec<usize>,
}

/// What came of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    /// It was the so-manieth.
    pub(crate) number: usize,
    pub(crate) due: Instant,
    pub(crate) answered: Instant,
    pub(crate) status: u16,
    /// The order's id, where the answer has one.
    pub(crate) order: Option<Uuid>,
}

/// A connection: it carries one request at a time.
struct Lane {
    requests: OwnedWriteHalf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pending: Option<(usize, Instant)>,
    replies: Vec<Reply>,
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends everything of a plan over so many connections, and returns once all of it is answered.
pub(crate) async fn run(address: SocketAddr, connections: usize, plan: Plan) -> Result<Vec<Reply>> {
    let (to_sender, idle) = channel();
    let mut lanes = Vec::new();
    let mut readers = JoinSet::new();
    for index in 0..connections {
        let (requests, answers) = Connection::open(address).await?.into_sides();
        // From here on it can be written to from any thread.
        requests.writable().await?;
        let lane = Arc::new(Lane {
            requests,
            state: Mutex::default(),
        });
        to_sender.send(Ok(index)).context("the sender is gone")?;
        readers.spawn(read(answers, Arc::clone(&lane), index, to_sender.clone()));
        lanes.push(lane);
    }
    drop(to_sender);
    // A thread of its own: the runtime's timers are good to a millisecond, a thread's sleep to some microseconds.
    let sending = tokio::task::spawn_blocking(move || send(&plan, &lanes, &idle).map(|()| lanes));
    let lanes = sending.await??;
    readers.shutdown().await;
    let mut replies = Vec::new();
    for lane in lanes {
        replies.append(&mut lane.state().replies);
    }
    Ok(replies)
}

fn send(plan: &Plan, lanes: &[Arc<Lane>], idle: &Receiver<Result<usize>>) -> Result<()> {
    let next = || idle.recv_timeout(PATIENCE).context("an answer took more than 30 s")?;
    let start = Instant::now();
    for (number, request) in plan.order.iter().enumerate() {
        let due = start + Duration::from_nanos(number as u64 * 1_000_000_000 / u64::from(plan.rate));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let lane = &lanes[next()?];
        lane.state().pending = Some((number, due));
        let bytes = &plan.requests[*request];
        let written = lane.requests.try_write(bytes)?;
        ensure!(written == bytes.len(), "a connection took only half of a request");
    }
    for _ in lanes {
        next()?;
    }
    Ok(())
}

/// Notes answers as they come.
async fn read(mut answers: Answers, lane: Arc<Lane>, index: usize, to_sender: Sender<Result<usize>>) {
    loop {
        let result = match answers.next().await {
            Ok(answer) => {
                let answered = Instant::now();
                let (status, order) = (answer.status, order_id(&answer));
                let mut state = lane.state();
                if let Some((number, due)) = state.pending.take() {
                    state.replies.push(Reply {
                        number,
                        due,
                        answered,
                        status,
                        order,
                    });
                }
                Ok(index)
            }
            Err(error) => Err(error),
        };
        let failed = result.is_err();
        // The sender ends first when it fails itself.
        if to_sender.send(result).is_err() || failed {
            return;
        }
    }
}

/// The id of an order in an answer, which is where its object begins.
pub(crate) fn order_id(answer: &Answer<'_>) -> Option<Uuid> {
    let rest = answer.body.strip_prefix(b"{\"id\":\"")?;
    Uuid::try_parse_ascii(rest.get(..36)?).ok()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_waits_for_a_slow_server_counts_from_when_it_was_due() {
        const PAUSE: Duration = Duration::from_millis(30);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0];
            while stream.read(&mut request).await.unwrap() > 0 {
                tokio::time::sleep(PAUSE).await;
                let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
                stream.write_all(answer).await.unwrap();
            }
        });
        let plan = Plan {
            rate: 1000,
            requests: [b"x".to_vec()].into(),
            order: vec![0; 5],
        };
        let mut replies = run(address, 1, plan).await.unwrap();
        replies.sort_by_key(|reply| reply.number);
        assert_eq!(replies.len(), 5);
        for (number, reply) in (1..).zip(replies) {
            let latency = reply.answered - reply.due;
            assert!(
                latency + Duration::from_millis(number) >= PAUSE * number.try_into().unwrap(),
                "{number}: {latency:?}"
            );
            assert_eq!((reply.status, reply.order), (202, None));
        }
        server.abort();
    }

    #[test]
    fn the_id_of_an_order_is_read_off_its_answer() {
        let body = br#"{"id":"019a0000-0000-7000-8000-000000000001","status":"pending"}"#;
        let answer = Answer { status: 202, body };
        assert_eq!(
            order_id(&answer),
            Some(Uuid::from_u128(0x019a_0000_0000_7000_8000_0000_0000_0001))
        );
        let answer = Answer {
            status: 503,
            body: b"{}",
        };
        assert_eq!(order_id(&answer), None);
    }
}
