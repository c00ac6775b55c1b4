//! An SMTP server that keeps every mail it is given and delivers none: the demo reads its mails, tests also make it fail.
//!
//! It is strict where a sloppy client would be dangerous elsewhere (a bare CR or LF in a message is refused) and does
//! neither TLS nor authentication. A fault of a new kind is a variant of [`Reply`]; a new place for one is a [`Stage`].
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use mailcatcher::{Config, MailCatcher, Reply, Stage};
//!
//! let catcher = MailCatcher::start(Config::default()).await?;
//! catcher.fail_next(Stage::Rcpt, Reply::status(451, "4.7.1 try again later"));
//! // … have something send a mail to catcher.url(), then:
//! assert!(catcher.mails().is_empty());
//! # Ok::<(), std::io::Error>(()) }).unwrap();
//! ```

mod mail;
mod mime;
mod script;
mod session;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use mail::Mail;
pub use script::{Reply, Stage};

use script::Script;

/// Where to listen and whether to keep files.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on; port 0 takes any free one.
    pub addr: SocketAddr,
    /// A folder that gets one `.eml` file per mail, numbered on from those that it holds.
    pub dir: Option<PathBuf>,
}

/// A running server; dropping it closes its port and every connection.
#[derive(Debug)]
pub struct MailCatcher {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// Fewer mails than expected came before the deadline.
#[derive(Debug, thiserror::Error)]
#[error("{got} of {wanted} mails came within {within:?}; look at the sender's log")]
pub struct TooFew {
    /// How many were waited for.
    pub wanted: usize,
    /// How many came.
    pub got: usize,
    /// How long was waited.
    pub within: Duration,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    mails: watch::Sender<Vec<Mail>>,
    script: Script,
    dir: Option<PathBuf>,
    /// The number of the last file.
    files: AtomicUsize,
}

impl Default for Config {
    /// Any free port of this machine; no files.
    fn default() -> Self {
        Self {
            addr: (Ipv4Addr::LOCALHOST, 0).into(),
            dir: None,
        }
    }
}

impl MailCatcher {
    /// Binds the port and serves in the background of the current tokio runtime.
    pub async fn start(config: Config) -> io::Result<Self> {
        let mut files = 0;
        if let Some(dir) = &config.dir {
            tokio::fs::create_dir_all(dir).await?;
            files = last_number(dir).await?;
        }
        let listener = TcpListener::bind(config.addr).await?;
        let addr = listener.local_addr()?;
        let (mails, script, files) = (watch::Sender::default(), Script::default(), AtomicUsize::new(files));
        let shared = Arc::new(Shared {
            mails,
            script,
            dir: config.dir,
            files,
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            addr,
            shared,
            accepting,
        })
    }

    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address as mail clients take it: `smtp://127.0.0.1:1025`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://{}", self.addr)
    }

    /// Every mail so far, oldest first.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.mails.borrow().clone()
    }

    /// Waits until `wanted` mails have come since the start (or the last [`clear`](Self::clear)) and yields them all.
    pub async fn wait_for(&self, wanted: usize, within: Duration) -> Result<Vec<Mail>, TooFew> {
        let mut mails = self.shared.mails.subscribe();
        match tokio::time::timeout(within, mails.wait_for(|mails| mails.len() >= wanted)).await {
            Ok(Ok(enough)) => Ok(enough.clone()),
            Ok(Err(_)) | Err(_) => Err(TooFew {
                wanted,
                got: self.mails().len(),
                within,
            }),
        }
    }

    /// Forgets the mails in memory; files stay.
    pub fn clear(&self) {
        self.shared.mails.send_modify(Vec::clear);
    }

    /// Answers the next command of this stage, on whichever connection, with `reply` instead of success. Calls add up:
    /// the third call fails the third command.
    pub fn fail_next(&self, stage: Stage, reply: Reply) {
        self.shared.script.push(stage, reply);
    }

    /// Asks `decide` for every command of this stage that no [`fail_next`](Self::fail_next) is left for; it sees the
    /// command's argument (an address, or nothing) and yields a reply, or `None` for success.
    pub fn fail_when(&self, stage: Stage, decide: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) {
        self.shared.script.decide_by(stage, Box::new(decide));
    }

    /// Ends all scripted faults.
    pub fn behave(&self) {
        self.shared.script.clear();
    }
}

impl Drop for MailCatcher {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    /// Keeps a mail, in its file first: who has seen the mail finds the file.
    async fn keep(&self, mail: Mail) -> io::Result<()> {
        if let Some(dir) = &self.dir {
            mail.write(dir, self.files.fetch_add(1, Ordering::Relaxed) + 1).await?;
        }
        self.mails.send_modify(|mails| mails.push(mail));
        Ok(())
    }
}

/// The highest number that an earlier run gave to a file.
async fn last_number(dir: &Path) -> io::Result<usize> {
    let mut entries = tokio::fs::read_dir(dir).await?;
    let mut last = 0;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".eml")?.parse().ok());
        last = last.max(number.unwrap_or(0));
    }
    Ok(last)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Owned by this task, so that the connections end with it.
    let mut sessions = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            sessions.spawn(async move {
                // A client that hangs up is its own affair; what it sent until then has been judged.
                let _hung_up = session::serve(stream, &shared).await;
            });
        }
        while sessions.try_join_next().is_some() {}
    }
}

#[cfg(test)]
mod tests;
