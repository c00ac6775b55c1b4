//! Between the polling thread and a worker: records and commands, bounded by the poller's patience.
//!
//! A batch is whatever has arrived while the last one was applied, up to a cap: nobody lingers for more.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::ids::MerchantId;
use tokio::sync::{Notify, oneshot};

use crate::{assignment::Start, packed::Packed};

/// What the polling thread tells a worker.
pub(crate) enum Command {
    /// This shard is yours; its records follow.
    Take(Start),
    /// Write down how far you came, and let every shard go.
    Release(oneshot::Sender<()>),
}

#[derive(Default)]
struct State {
    commands: Vec<Command>,
    records: Vec<Packed>,
    bytes: usize,
    stale: Vec<Option<MerchantId>>,
    /// The worker is gone.
    closed: bool,
}

/// What a worker finds.
pub(crate) struct Work {
    pub(crate) commands: Vec<Command>,
    pub(crate) records: Vec<Packed>,
    /// Merchants whose catalogue has changed; none stands for all.
    pub(crate) stale: Vec<Option<MerchantId>>,
}

pub(crate) struct Inbox {
    state: Mutex<State>,
    arrived: Notify,
    room: Condvar,
    max_records: usize,
    max_bytes: usize,
}

impl Inbox {
    pub(crate) fn new(max_records: usize, max_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            arrived: Notify::new(),
            room: Condvar::new(),
            max_records,
            max_bytes,
        }
    }

    /// Adds records. It may go over the cap by these; [`Self::wait_for_room`] before the next.
    pub(crate) fn push(&self, records: &mut Vec<Packed>) {
        if records.is_empty() {
            return;
        }
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.bytes += records.iter().map(Packed::size).sum::<usize>();
        state.records.append(records);
        drop(state);
        self.arrived.notify_one();
    }

    pub(crate) fn take_shard(&self, start: Start) {
        let mut state = self.lock();
        if !state.closed {
            state.commands.push(Command::Take(start));
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Asks for every shard back. Records that wait are dropped: they are still in Kafka. A worker that is gone holds
    /// nothing, and the answer is there at once.
    pub(crate) fn release(&self) -> oneshot::Receiver<()> {
        let (done, released) = oneshot::channel();
        let mut state = self.lock();
        state.records.clear();
        state.bytes = 0;
        if !state.closed {
            state.commands.push(Command::Release(done));
        }
        drop(state);
        self.arrived.notify_one();
        released
    }

    /// Says that a merchant's catalogue has changed, or that anything may have. Seen before the next batch.
    pub(crate) fn forget(&self, merchant: Option<MerchantId>) {
        self.lock().stale.push(merchant);
        self.arrived.notify_one();
    }

    /// Whether there is room again, waiting for it as long as this.
    pub(crate) fn wait_for_room(&self, patience: Duration) -> bool {
        let (state, _) = self
            .room
            .wait_timeout_while(self.lock(), patience, |state| self.is_over(state))
            .unwrap_or_else(PoisonError::into_inner);
        !self.is_over(&state)
    }

    /// Whether less than half of the room is used.
    pub(crate) fn is_roomy(&self) -> bool {
        let state = self.lock();
        state.records.len() <= self.max_records / 2 && state.bytes <= self.max_bytes / 2
    }

    /// Whether the poller has something to say, so that retrying should end.
    pub(crate) fn has_commands(&self) -> bool {
        !self.lock().commands.is_empty()
    }

    /// The worker is gone: whoever waits for it need not.
    pub(crate) fn close(&self) {
        *self.lock() = State {
            closed: true,
            ..State::default()
        };
        self.room.notify_all();
    }

    /// What has arrived, at most one batch of records, waiting up to `patience` for something.
    pub(crate) async fn take(&self, patience: Duration) -> Work {
        // Only waiting is under the timeout: what is taken is never dropped.
        if self.is_empty() {
            let _ = tokio::time::timeout(patience, self.arrived.notified()).await;
        }
        let mut state = self.lock();
        let mut taken = std::mem::take(&mut *state);
        if taken.records.len() > self.max_records {
            state.records = taken.records.split_off(self.max_records);
            state.bytes = state.records.iter().map(Packed::size).sum();
        }
        drop(state);
        self.room.notify_all();
        Work {
            commands: taken.commands,
            records: taken.records,
            stale: taken.stale,
        }
    }

    fn is_empty(&self) -> bool {
        let state = self.lock();
        state.records.is_empty() && state.commands.is_empty() && state.stale.is_empty()
    }

    fn is_over(&self, state: &State) -> bool {
        state.records.len() >= self.max_records || state.bytes >= self.max_bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
