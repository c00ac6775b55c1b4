//! Notices partitions that stand still although records wait: a fetcher can stall without an error, a worker can wait for
//! what never comes. Looked at is what is applied and published, so that it matters not where between it is stuck.

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
    consumer::StockConsumer,
    metrics::Metrics,
    poll::{Positions, ToPoll},
    source::Source,
};

const LOOK_EVERY: Duration = Duration::from_secs(10);
/// So many looks without a move, and the partition is stalled.
const LOOKS: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(5);

/// A partition that did not move although it was joined again is looked at so much more seldom, at most.
const MOST_LOOKS: u32 = 60;

/// What is known of a partition that stands still.
struct Still {
    at: i64,
    looks: u32,
    /// So many looks before it is said to be stalled; doubled each time that did not help.
    enough: u32,
}

/// Partitions and since when each stands where it stands.
#[derive(Default)]
struct Stills(HashMap<(Source, i32), Still>);

impl Stills {
    /// Looks once; returns those that stood still long enough, with where they stand.
    fn look(&mut self, now: &HashMap<(Source, i32), i64>) -> Vec<((Source, i32), i64)> {
        for (partition, position) in now {
            let still = self.0.entry(*partition).or_insert(Still {
                at: *position,
                looks: 0,
                enough: LOOKS,
            });
            if still.at == *position {
                still.looks += 1;
            } else {
                *still = Still {
                    at: *position,
                    looks: 0,
                    enough: LOOKS,
                };
            }
        }
        let long = self.0.iter().filter(|(_, still)| still.looks >= still.enough);
        // What is not here now may be with somebody else, or about to come back to where it was.
        long.filter(|(partition, _)| now.contains_key(partition))
            .map(|(partition, still)| (*partition, still.at))
            .collect()
    }

    /// Something was done about it.
    fn acted_on(&mut self, partition: (Source, i32)) {
        if let Some(still) = self.0.get_mut(&partition) {
            still.looks = 0;
            still.enough = (still.enough * 2).min(MOST_LOOKS);
        }
    }
}

/// Looks until the process stops.
pub(crate) async fn watch(
    consumer: Arc<StockConsumer>,
    names: Names,
    positions: Positions,
    metrics: Arc<Metrics>,
    to_poll: Sender<ToPoll>,
    shutdown: Shutdown,
) {
    let mut stills = Stills::default();
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let now = positions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let suspects = stills.look(&now);
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
                stills.acted_on(partition);
            }
            // The polling thread is gone only when the process stops.
            let _ = to_poll.send(ToPoll::Rejoin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: (Source, i32) = (Source::OrderCreated, 1);

    /// After how many looks at a partition that stands still it is said to be stalled.
    fn looks_until_stalled(stills: &mut Stills) -> u32 {
        let now = HashMap::from([(PARTITION, 7)]);
        let mut looks = 1;
        while stills.look(&now).is_empty() {
            looks += 1;
        }
        looks
    }

    #[test]
    fn a_partition_that_moves_is_never_stalled() {
        let mut stills = Stills::default();
        assert!((0..100).all(|at| stills.look(&HashMap::from([(PARTITION, at)])).is_empty()));
    }

    #[test]
    fn joining_again_is_tried_ever_more_seldom_where_it_does_not_help() {
        let mut stills = Stills::default();
        let mut waited = Vec::new();
        for _ in 0..7 {
            waited.push(looks_until_stalled(&mut stills));
            stills.acted_on(PARTITION);
        }
        assert_eq!(waited, [3, 6, 12, 24, 48, 60, 60]);
    }

    #[test]
    fn a_partition_that_is_not_here_is_not_stalled() {
        let mut stills = Stills::default();
        looks_until_stalled(&mut stills);
        assert!(stills.look(&HashMap::new()).is_empty());
    }
}
