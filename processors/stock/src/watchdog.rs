//! Notices partitions that stand still although records wait: a fetcher can stall without an error.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, mpsc::Sender},
    time::Duration,
};

use rdkafka::consumer::Consumer as _;
use service::Shutdown;
use stream::Names;
use tracing::error;

use crate::{
    metrics::Metrics,
    poll::{Positions, StockConsumer, ToPoll},
    source::Source,
};

const LOOK_EVERY: Duration = Duration::from_secs(10);
/// So many looks without a move, and the partition is stalled.
const LOOKS: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(5);

/// Looks until the process stops.
pub(crate) async fn watch(
    consumer: Arc<StockConsumer>,
    names: Names,
    positions: Positions,
    metrics: Arc<Metrics>,
    to_poll: Sender<ToPoll>,
    shutdown: Shutdown,
) {
    let mut still: HashMap<(Source, i32), (i64, u32)> = HashMap::new();
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let now = positions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        still.retain(|partition, _| now.contains_key(partition));
        for (partition, position) in &now {
            let (at, looks) = still.entry(*partition).or_insert((*position, 0));
            (*at, *looks) = if at == position {
                (*at, *looks + 1)
            } else {
                (*position, 0)
            };
        }
        let suspects: Vec<_> = still
            .iter()
            .filter(|(_, (_, looks))| *looks >= LOOKS)
            .map(|(p, s)| (*p, s.0))
            .collect();
        let (broker, topics) = (Arc::clone(&consumer), names.clone());
        let stalled = tokio::task::spawn_blocking(move || {
            let waits = |((source, partition), position): &((Source, i32), i64)| {
                let marks = broker.fetch_watermarks(&topics.topic(source.topic()), *partition, TIMEOUT);
                marks.is_ok_and(|(_, end)| end > *position)
            };
            suspects.into_iter().filter(waits).collect::<Vec<_>>()
        })
        .await
        .unwrap_or_default();
        metrics.stalled.set(i64::try_from(stalled.len()).unwrap_or(i64::MAX));
        if !stalled.is_empty() {
            let partitions: Vec<_> = stalled
                .iter()
                .map(|((source, at), _)| (source.topic().name, *at))
                .collect();
            error!(
                ?partitions,
                "partitions stand still although records wait: joining the group again"
            );
            for (partition, _) in stalled {
                still.remove(&partition);
            }
            // The polling thread is gone only when the process stops.
            let _ = to_poll.send(ToPoll::Rejoin);
        }
    }
}
