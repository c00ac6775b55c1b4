//! Ctrl-C and SIGTERM: counted, never acted on here. The first asks for an orderly stop, the second for a quick one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static RECEIVED: AtomicUsize = AtomicUsize::new(0);

/// Starts counting. A process that is meant to stay behind does not count the end of its terminal.
pub(crate) fn listen(outlives_terminal: bool) -> Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("cannot listen for signals")?;
    thread::spawn(move || {
        for signal in &mut signals {
            if signal != SIGHUP || !outlives_terminal {
                RECEIVED.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    Ok(())
}

/// Whether to stop.
pub(crate) fn asked() -> bool {
    RECEIVED.load(Ordering::Relaxed) > 0
}

/// Whether to stop without waiting for anyone.
pub(crate) fn insisted() -> bool {
    RECEIVED.load(Ordering::Relaxed) > 1
}

/// An error once asked to stop, for use between two steps.
pub(crate) fn check() -> Result<()> {
    if asked() {
        bail!("interrupted");
    }
    Ok(())
}
