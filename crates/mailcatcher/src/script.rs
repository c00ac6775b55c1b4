//! Faults on demand: at which command, and what the client meets there.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A moment in a mail's transfer at which a fault can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The connection was accepted; the greeting is due.
    Greeting,
    /// `MAIL FROM`.
    Mail,
    /// `RCPT TO`, each of them.
    Rcpt,
    /// `DATA`, before the message.
    Data,
    /// The message is complete, up to its dot.
    AfterDot,
}

/// What the client meets instead of success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A status line. After 421 the connection is closed, as SMTP has it.
    Status(u16, String),
    /// Silence, with the connection left open.
    Stall,
    /// The connection is closed without a word; a mail at [`Stage::AfterDot`] is dropped.
    Close,
    /// As `Close`, but a mail at [`Stage::AfterDot`] has been kept: the client cannot know that it arrived.
    KeepAndClose,
}

impl Reply {
    /// A status line, such as `Reply::status(451, "4.7.1 try again later")`.
    pub fn status(code: u16, text: impl Into<String>) -> Self {
        Self::Status(code, text.into())
    }
}

type Decide = Box<dyn Fn(&str) -> Option<Reply> + Send + Sync>;

/// The faults that are still to come.
#[derive(Default)]
pub(crate) struct Script {
    faults: Mutex<Faults>,
}

#[derive(Default)]
struct Faults {
    queued: HashMap<Stage, VecDeque<Reply>>,
    standing: HashMap<Stage, Decide>,
}

impl Script {
    pub(crate) fn push(&self, stage: Stage, reply: Reply) {
        self.faults().queued.entry(stage).or_default().push_back(reply);
    }

    pub(crate) fn decide_by(&self, stage: Stage, decide: Decide) {
        self.faults().standing.insert(stage, decide);
    }

    pub(crate) fn clear(&self) {
        *self.faults() = Faults::default();
    }

    /// The fault for a command, if one is due.
    pub(crate) fn next(&self, stage: Stage, argument: &str) -> Option<Reply> {
        let mut faults = self.faults();
        let queued = faults.queued.get_mut(&stage).and_then(VecDeque::pop_front);
        queued.or_else(|| faults.standing.get(&stage).and_then(|decide| decide(argument)))
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        // A panicking `decide` leaves the script as it was.
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("queued", &self.faults().queued)
            .finish_non_exhaustive()
    }
}
