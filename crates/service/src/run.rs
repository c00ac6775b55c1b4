//! Running services side by side: stop together, and say by the exit code whether all went well.

use std::{error::Error, fmt, future::Future, pin::Pin, process::ExitCode, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::Instrument as _;

use crate::{context::Context, shutdown::Shutdown};

type BoxError = Box<dyn Error + Send + Sync>;

/// What is left of blocking work when everything else has ended is given so long.
const RUNTIME_GRACE: Duration = Duration::from_secs(2);

/// Something that runs until it is asked to stop.
pub struct Task {
    name: &'static str,
    future: Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>,
}

impl Task {
    /// Names a future for the log.
    pub fn new<E: Into<BoxError>>(
        name: &'static str,
        future: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Self {
        Self {
            name,
            future: Box::pin(async { future.await.map_err(Into::into) }),
        }
    }
}

/// How one task ended.
#[derive(Debug, thiserror::Error)]
enum Died {
    #[error("{0}")]
    Failed(String),
    #[error("panicked; the panic is in the log above")]
    Panicked,
    #[error("returned although nobody asked it to stop")]
    Left,
}

/// Runs every task until the process is asked to stop (SIGTERM, SIGINT or [`Shutdown::request`]).
///
/// A task that fails, panics or leaves by itself stops the others. A second signal, or the end of the grace period,
/// cuts off whatever still runs. Success is when every task was asked and ended well.
pub async fn run(context: &Context, tasks: Vec<Task>) -> ExitCode {
    let shutdown = &context.shutdown;
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("cannot listen to signals");
        return ExitCode::FAILURE;
    };
    let mut running = start(tasks, shutdown);
    let mut all_well = true;
    let mut deadline: Option<Instant> = None;
    while !running.is_empty() {
        if shutdown.is_requested() && deadline.is_none() {
            deadline = Some(Instant::now() + shutdown.grace());
            tracing::info!(grace = ?shutdown.grace(), "stopping");
        }
        let signalled = tokio::select! {
            Some(ended) = running.join_next() => {
                all_well &= matches!(ended, Ok(true));
                continue;
            }
            () = shutdown.requested(), if deadline.is_none() => continue,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => "grace period over",
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        if deadline.is_some() {
            tracing::error!(
                reason = signalled,
                unfinished = running.len(),
                "cutting off what still runs"
            );
            running.shutdown().await;
            return ExitCode::FAILURE;
        }
        tracing::info!(reason = signalled, "asked to stop");
        shutdown.request();
    }
    if all_well {
        tracing::info!("stopped");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs a program on a runtime of its own and does not wait for blocked threads when it has ended.
pub fn block_on(program: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(program);
    runtime.shutdown_timeout(RUNTIME_GRACE);
    code
}

/// Starts every task under supervision; each tells whether it ended well.
fn start(tasks: Vec<Task>, shutdown: &Shutdown) -> JoinSet<bool> {
    let mut running = JoinSet::new();
    for Task { name, future } in tasks {
        let shutdown = shutdown.clone();
        let span = tracing::info_span!("service", name);
        // A task of its own, so that a panic is caught where its name is known.
        let mut inner = JoinSet::new();
        inner.spawn(future.instrument(span));
        running.spawn(async move {
            let died = match inner.join_next().await {
                Some(Ok(Ok(()))) if shutdown.is_requested() => return true,
                Some(Ok(Ok(()))) | None => Died::Left,
                Some(Ok(Err(error))) => Died::Failed(Chain(&*error).to_string()),
                Some(Err(_)) => Died::Panicked,
            };
            tracing::error!(task = name, error = %died, "a task died: stopping the others");
            shutdown.request();
            false
        });
    }
    running
}

/// An error with its causes, on one line.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
