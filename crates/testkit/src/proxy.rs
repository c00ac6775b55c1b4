//! A line to a real server that can be cut: what a test puts between a client and the server it talks to.
//!
//! Only the line fails, never the server: what the server was told before, it did.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// Where in a connection's bytes of one direction it is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// When so many bytes have passed.
    Bytes(usize),
    /// When these bytes have passed, together and whole.
    After(Vec<u8>),
    /// When these bytes are seen, and before they pass (but for those that came in an earlier piece).
    Before(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    Stall,
    Refuse,
}

/// A port that leads to a server. Dropping it closes the port and every connection.
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    server: String,
    mode: watch::Sender<Mode>,
    /// Raised to cut what is open.
    cut: watch::Sender<u64>,
    planned: Mutex<Vec<(Direction, At)>>,
    cuts_done: AtomicUsize,
    open: AtomicUsize,
}

impl Proxy {
    /// Opens a port of this machine that leads to `server` (`host:port`).
    pub async fn start(server: impl Into<String>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: server.into(),
            mode: watch::Sender::new(Mode::Pass),
            cut: watch::Sender::new(0),
            planned: Mutex::default(),
            cuts_done: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            addr,
            shared,
            accepting,
        }
    }

    /// Where clients connect to.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Cuts every connection that is open; new ones work.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|times| *times += 1);
    }

    /// Cuts every connection and each new one at once.
    pub fn refuse(&self) {
        self.shared.mode.send_replace(Mode::Refuse);
        self.cut();
    }

    /// Lets no byte pass, either way; connections stay open and new ones are taken.
    pub fn stall(&self) {
        self.shared.mode.send_replace(Mode::Stall);
    }

    /// Lets everything pass again, held-back bytes first.
    pub fn pass(&self) {
        self.shared.mode.send_replace(Mode::Pass);
    }

    /// Cuts one connection, once: the first that gets there. Plans add up.
    pub fn cut_at(&self, direction: Direction, at: At) {
        self.shared.planned().push((direction, at));
    }

    /// How many planned cuts were made.
    #[must_use]
    pub fn cuts_done(&self) -> usize {
        self.shared.cuts_done.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn planned(&self) -> std::sync::MutexGuard<'_, Vec<(Direction, At)>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much of `piece` still passes if a plan is due in it, which is then done. So many bytes have passed already;
    /// `before` is the last of them.
    fn due(&self, direction: Direction, count: usize, before: &[u8], piece: &[u8]) -> Option<usize> {
        let mut planned = self.planned();
        if planned.is_empty() {
            return None;
        }
        let window = [before, piece].concat();
        let in_piece = |end: usize| end.saturating_sub(before.len()).min(piece.len());
        let find = |pattern: &[u8]| window.windows(pattern.len().max(1)).position(|bytes| bytes == pattern);
        let found = planned.iter().enumerate().find_map(|(index, (planned, at))| {
            let share = match at {
                _ if *planned != direction => None,
                At::Bytes(limit) => (count + piece.len() >= *limit).then(|| limit.saturating_sub(count)),
                At::After(pattern) => find(pattern)
                    .map(|start| start + pattern.len())
                    // Not one that had passed whole before.
                    .filter(|&end| end > before.len())
                    .map(in_piece),
                At::Before(pattern) => find(pattern)
                    .filter(|start| start + pattern.len() > before.len())
                    .map(in_piece),
            };
            Some((index, share?))
        });
        let (index, share) = found?;
        planned.remove(index);
        Some(share)
    }

    /// As many bytes as a pattern may reach back into what has passed.
    fn reach(&self) -> usize {
        let lengths = |(_, at): &(Direction, At)| match at {
            At::Bytes(_) => 0,
            At::After(pattern) | At::Before(pattern) => pattern.len().saturating_sub(1),
        };
        self.planned().iter().map(lengths).max().unwrap_or(0)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Owned by this task, so that the connections end with it.
    let mut lines = JoinSet::new();
    loop {
        if let Ok((client, _)) = listener.accept().await {
            // A client that is cut off learns it by a reset, not by an orderly end.
            let _ = client.set_zero_linger();
            if *shared.mode.borrow() == Mode::Refuse {
                continue;
            }
            let shared = Arc::clone(&shared);
            let cut = shared.cut.subscribe();
            lines.spawn(async move {
                shared.open.fetch_add(1, Ordering::SeqCst);
                connect(client, &shared, cut).await;
                shared.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
        while lines.try_join_next().is_some() {}
    }
}

async fn connect(client: TcpStream, shared: &Shared, mut cut: watch::Receiver<u64>) {
    let Ok(server) = TcpStream::connect(&shared.server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pump(Direction::ToServer, from_client, to_server, shared);
    let down = pump(Direction::ToClient, from_server, to_client, shared);
    tokio::select! {
        // Errors of either side end both, as a cut does.
        _ = async { tokio::try_join!(up, down) } => {}
        _ = cut.changed() => {}
    }
}

/// Carries bytes one way until their end, or until this connection is cut.
async fn pump(
    direction: Direction,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
) -> Result<(), std::io::Error> {
    let mut mode = shared.mode.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    let (mut passed, mut before) = (0, Vec::new());
    loop {
        let read = from.read(&mut buffer).await?;
        // The sender lives as long as the proxy; if it is gone there is nothing to wait for.
        let _ = mode.wait_for(|mode| *mode != Mode::Stall).await;
        if read == 0 {
            return to.shutdown().await;
        }
        let piece = &buffer[..read];
        if let Some(share) = shared.due(direction, passed, &before, piece) {
            to.write_all(&piece[..share]).await?;
            shared.cuts_done.fetch_add(1, Ordering::SeqCst);
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        to.write_all(piece).await?;
        passed += read;
        before.extend_from_slice(piece);
        let keep_from = before.len().saturating_sub(shared.reach());
        before.drain(..keep_from);
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
