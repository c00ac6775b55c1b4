//! What was accepted lately, by id: so many and so long, and no more.
//!
//! Every order passes here, so this is as plain as it can be. Nothing is moved when it is read; who came first goes
//! first.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, Hash, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Threads that accept at the same time seldom want the same one of these.
const SHARDS: usize = 16;

/// The latest of many, by an id that never comes twice.
pub(crate) struct Recent<K, V> {
    shards: [Mutex<Shard<K, V>>; SHARDS],
    hasher: RandomState,
    /// The most in one shard.
    most: usize,
    age: Duration,
}

struct Shard<K, V> {
    found: HashMap<K, V>,
    order: VecDeque<(Instant, K)>,
}

impl<K: Copy + Eq + Hash, V: Clone> Recent<K, V> {
    /// Remembers about `most`, each for `age` at the longest.
    pub(crate) fn new(most: usize, age: Duration) -> Self {
        Self {
            shards: std::array::from_fn(|_| {
                Mutex::new(Shard {
                    found: HashMap::new(),
                    order: VecDeque::new(),
                })
            }),
            hasher: RandomState::new(),
            most: most.div_ceil(SHARDS),
            age,
        }
    }

    pub(crate) fn insert(&self, id: K, value: V) {
        let now = Instant::now();
        let mut shard = self.shard(&id, now);
        if shard.order.len() >= self.most {
            shard.forget_first();
        }
        shard.order.push_back((now, id));
        shard.found.insert(id, value);
    }

    pub(crate) fn get(&self, id: &K) -> Option<V> {
        self.shard(id, Instant::now()).found.get(id).cloned()
    }

    /// Where the id belongs, with nothing in it that is too old.
    fn shard(&self, id: &K, now: Instant) -> MutexGuard<'_, Shard<K, V>> {
        let at = self.hasher.hash_one(id) % SHARDS as u64;
        let shard = &self.shards[usize::try_from(at).expect("there are few shards")];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        while shard
            .order
            .front()
            .is_some_and(|(since, _)| now.saturating_duration_since(*since) >= self.age)
        {
            shard.forget_first();
        }
        shard
    }
}

impl<K: Eq + Hash, V> Shard<K, V> {
    fn forget_first(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.found.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_makes_place_for_the_last() {
        let recent = Recent::new(160, Duration::from_mins(1));
        for id in 0..10_000 {
            recent.insert(id, id);
        }
        assert_eq!(recent.get(&9999), Some(9999));
        assert_eq!(recent.get(&0), None);
        let remembered = (0..10_000).filter(|id| recent.get(id).is_some()).count();
        assert_eq!(remembered, 160);
    }

    #[test]
    fn what_is_old_is_not_found() {
        let recent = Recent::new(160, Duration::ZERO);
        recent.insert(1, 1);
        assert_eq!(recent.get(&1), None);
    }
}
