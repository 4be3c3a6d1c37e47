//! A best-effort cache of recently accepted reports: the ids of reports and attested keys, with a
//! digest of the report accepted under each.
//!
//! The cache has two generations. An entry stays for at least half of the acceptance window, or
//! until as many others have been added as half of the limit. After at most twice that it is
//! removed. An entry consists of two words, both from keyed hashes, so clients cannot choose ids
//! that collide. A million entries take less than 40 MiB.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tallybox_model::report::ProblemKind;

use super::Rejection;
use crate::attestation::AttestedKey;
use crate::spool::{DedupEntry, DurabilityObserver};

/// Separates the hashes of report ids from those of attested keys.
const REPORT: u8 = 1;
/// Separates the hashes of attested keys from those of report ids.
const DEVICE: u8 = 2;

/// The cache of a process, shared by all localities.
#[derive(Debug)]
pub struct ReportCache {
    /// Hash with a key that is random in every process.
    hash: RandomState,
    generations: Mutex<Generations>,
}

#[derive(Debug)]
struct Generations {
    young: Entries,
    old: Entries,
    /// Start of the young generation, in milliseconds since the epoch.
    started_at: i64,
    /// Most entries of a generation.
    max_entries: usize,
    /// Time after which a generation is no longer young, in milliseconds.
    span_millis: i64,
}

type Entries = HashMap<u64, u64, BuildHasherDefault<IdentityHasher>>;

/// A hasher that returns its input: keys are hashes already.
#[derive(Debug, Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

impl ReportCache {
    /// Creates an empty cache of at most `max_entries` entries, for reports that may be replayed
    /// for `minutes`.
    #[must_use]
    pub fn new(max_entries: usize, minutes: u64) -> Self {
        // The limit is for both generations together.
        let max_entries = (max_entries / 2).max(1);
        // The capacity is reserved once: a table that grows leaves holes of its former sizes in the
        // heap. Unused pages cost nothing.
        let entries =
            || Entries::with_capacity_and_hasher(max_entries, BuildHasherDefault::default());
        Self {
            hash: RandomState::new(),
            generations: Mutex::new(Generations {
                young: entries(),
                old: entries(),
                started_at: i64::MIN,
                max_entries,
                // Half of the time in milliseconds: an entry stays for at least one generation.
                span_millis: i64::try_from(minutes.saturating_mul(30_000))
                    .map_or(i64::MAX, |half| half.max(1)),
            }),
        }
    }

    pub(super) fn report_key(&self, locality: &str, id: &str) -> u64 {
        self.hash.hash_one((REPORT, locality, id))
    }

    pub(super) fn device_key(&self, locality: &str, metric: &str, attested: &AttestedKey) -> u64 {
        self.hash
            .hash_one((DEVICE, locality, metric, attested.day, attested.key))
    }

    /// Returns whether the report is already durable; `false` if it is new.
    ///
    /// An attested key is recorded at once, so that only one of two concurrent reports is admitted.
    /// An id is recorded when its report is durable.
    pub(super) fn admit(&self, entry: &DedupEntry, now: i64) -> Result<bool, Rejection> {
        let mut generations = self.generations();
        generations.advance(now);
        match generations.get(entry.id) {
            Some(digest) if digest == entry.digest => return Ok(true),
            Some(_) => {
                return Err(Rejection::new(
                    ProblemKind::Conflict,
                    "another report with this uuid was accepted; every report needs an id of its own",
                ));
            }
            None => {}
        }
        let Some(device) = entry.attested else {
            return Ok(false);
        };
        match generations.get(device) {
            Some(digest) if digest != entry.digest => Err(Rejection::new(
                ProblemKind::AlreadyReported,
                "this device has already sent another report of this metric for this day",
            )),
            Some(_) => Ok(false),
            None => {
                generations.insert(device, entry.digest);
                Ok(false)
            }
        }
    }

    /// Returns the number of entries, and the capacity reserved for entries.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let generations = self.generations();
        let (young, old) = (&generations.young, &generations.old);
        (young.len() + old.len(), young.capacity() + old.capacity())
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        // No method leaves the generations inconsistent, so a poisoned lock is safe to use.
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl DurabilityObserver for ReportCache {
    fn record_durable(&self, entries: &[DedupEntry]) {
        let mut generations = self.generations();
        for entry in entries {
            generations.insert(entry.id, entry.digest);
            if let Some(device) = entry.attested {
                generations.insert(device, entry.digest);
            }
        }
        drop(generations);
        for entry in entries {
            entry.counters.accepted.inc();
        }
    }

    fn record_lost(&self, entries: &[DedupEntry]) {
        let mut generations = self.generations();
        for entry in entries {
            // If the report is durable already, this was a copy of it, and the entry stays.
            let durable = generations.get(entry.id) == Some(entry.digest);
            if let Some(device) = entry.attested.filter(|_| !durable) {
                generations.remove(device);
            }
        }
        drop(generations);
        for entry in entries {
            entry.counters.reject(ProblemKind::Unavailable);
        }
    }
}

impl Generations {
    fn get(&self, key: u64) -> Option<u64> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    fn insert(&mut self, key: u64, value: u64) {
        if self.young.len() >= self.max_entries {
            self.rotate();
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: u64) {
        self.young.remove(&key);
        self.old.remove(&key);
    }

    /// Starts a new generation when the young one is old enough. A clock that steps back restarts
    /// the time span.
    fn advance(&mut self, now: i64) {
        if self.started_at > now || self.started_at == i64::MIN {
            self.started_at = now;
        }
        if now.saturating_sub(self.started_at) >= self.span_millis {
            self.rotate();
            self.started_at = now;
        }
    }

    /// Drops the old generation and reuses its memory.
    fn rotate(&mut self) {
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::metrics::Metrics;

    const HOUR: i64 = 3_600_000;

    fn cache(max_entries: usize) -> ReportCache {
        ReportCache::new(max_entries, 48 * 60)
    }

    fn entry(cache: &ReportCache, id: &str, digest: u64, device: Option<u8>) -> DedupEntry {
        let attested = device.map(|key| AttestedKey {
            key: [key; 16],
            day: 20_000,
        });
        DedupEntry {
            id: cache.report_key("us-xx", id),
            digest,
            attested: attested.map(|attested| cache.device_key("us-xx", "a-v1", &attested)),
            counters: Arc::new(Metrics::new().reports("us-xx", "a-v1")),
        }
    }

    #[test]
    fn an_id_is_known_once_it_is_durable() {
        let cache = cache(100);
        let (first, second) = (entry(&cache, "one", 1, None), entry(&cache, "one", 2, None));
        assert!(!cache.admit(&first, 0).unwrap());
        assert!(!cache.admit(&first, 0).unwrap());
        cache.record_durable(std::slice::from_ref(&first));
        assert!(cache.admit(&first, 0).unwrap());
        assert_eq!(
            cache.admit(&second, 0).unwrap_err().kind,
            ProblemKind::Conflict
        );
        assert_eq!(first.counters.accepted.get(), 1);
    }

    #[test]
    fn a_device_has_one_report_unless_it_was_lost() {
        let cache = cache(100);
        let (first, second) = (
            entry(&cache, "one", 1, Some(7)),
            entry(&cache, "other", 2, Some(7)),
        );
        assert!(!cache.admit(&first, 0).unwrap());
        assert!(!cache.admit(&first, 0).unwrap());
        assert_eq!(
            cache.admit(&second, 0).unwrap_err().kind,
            ProblemKind::AlreadyReported
        );
        cache.record_lost(std::slice::from_ref(&first));
        assert!(!cache.admit(&second, 0).unwrap());
    }

    #[test]
    fn time_forgets_after_the_acceptance_window_and_not_before_half_of_it() {
        let cache = cache(100);
        let first = entry(&cache, "one", 1, None);
        assert!(!cache.admit(&first, 0).unwrap());
        cache.record_durable(std::slice::from_ref(&first));
        assert!(cache.admit(&first, 24 * HOUR).unwrap());
        assert!(cache.admit(&first, 47 * HOUR).unwrap());
        assert!(!cache.admit(&first, 48 * HOUR).unwrap());
        // A clock that steps back loses no entry.
        cache.record_durable(std::slice::from_ref(&first));
        assert!(cache.admit(&first, HOUR).unwrap());
        assert!(cache.admit(&first, 24 * HOUR).unwrap());
    }

    #[test]
    fn a_million_entries_stay_small() {
        let cache = cache(1_000_000);
        let base = entry(&cache, "one", 1, None);
        for id in 0..1_200_000_u64 {
            let id = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            cache.record_durable(&[DedupEntry { id, ..base.clone() }]);
        }
        let (entries, capacity) = cache.size();
        assert!((500_000..=1_000_000).contains(&entries), "{entries}");
        // A hash table has 8 slots for 7 entries, and each slot takes two words and a byte.
        let bytes = capacity / 7 * 8 * 17;
        assert!(bytes <= 40 << 20, "{bytes}");
    }
}
