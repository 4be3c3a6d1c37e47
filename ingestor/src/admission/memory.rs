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
pub struct Memory {
    /// Hash with a key that is random in every process.
    hash: RandomState,
    generations: Mutex<Generations>,
}

#[derive(Debug)]
struct Generations {
    young: Entries,
    old: Entries,
    /// Start of the young generation, in milliseconds since the epoch.
    begun: i64,
    /// Most entries of a generation.
    most: usize,
    /// Time after which a generation is no longer young, in milliseconds.
    span: i64,
}

type Entries = HashMap<u64, u64, BuildHasherDefault<AsItIs>>;

/// A hasher that returns its input: keys are hashes already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
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

impl Memory {
    /// Creates an empty cache of at most `most` entries, for reports that may be replayed for
    /// `minutes`.
    #[must_use]
    pub fn new(most: usize, minutes: u64) -> Self {
        // The limit is for both generations together.
        let most = (most / 2).max(1);
        // The capacity is reserved once: a table that grows leaves holes of its former sizes in the
        // heap. Unused pages cost nothing.
        let entries = || Entries::with_capacity_and_hasher(most, BuildHasherDefault::default());
        Self {
            hash: RandomState::new(),
            generations: Mutex::new(Generations {
                young: entries(),
                old: entries(),
                begun: i64::MIN,
                most,
                // Half of the time in milliseconds: an entry stays for at least one generation.
                span: i64::try_from(minutes.saturating_mul(30_000))
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
    pub(super) fn admit(&self, receipt: &DedupEntry, now: i64) -> Result<bool, Rejection> {
        let mut generations = self.generations();
        generations.turn(now);
        match generations.get(receipt.id) {
            Some(digest) if digest == receipt.digest => return Ok(true),
            Some(_) => {
                return Err(Rejection::new(
                    ProblemKind::Conflict,
                    "another report with this uuid was accepted; every report needs an id of its own",
                ));
            }
            None => {}
        }
        let Some(device) = receipt.attested else {
            return Ok(false);
        };
        match generations.get(device) {
            Some(digest) if digest != receipt.digest => Err(Rejection::new(
                ProblemKind::AlreadyReported,
                "this device has already sent another report of this metric for this day",
            )),
            Some(_) => Ok(false),
            None => {
                generations.insert(device, receipt.digest);
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

impl DurabilityObserver for Memory {
    fn durable(&self, receipts: &[DedupEntry]) {
        let mut generations = self.generations();
        for receipt in receipts {
            generations.insert(receipt.id, receipt.digest);
            if let Some(device) = receipt.attested {
                generations.insert(device, receipt.digest);
            }
        }
        drop(generations);
        for receipt in receipts {
            receipt.counters.accepted.inc();
        }
    }

    fn lost(&self, receipts: &[DedupEntry]) {
        let mut generations = self.generations();
        for receipt in receipts {
            // If the report is durable already, this was a copy of it, and the entry stays.
            let durable = generations.get(receipt.id) == Some(receipt.digest);
            if let Some(device) = receipt.attested.filter(|_| !durable) {
                generations.remove(device);
            }
        }
        drop(generations);
        for receipt in receipts {
            receipt.counters.reject(ProblemKind::Unavailable);
        }
    }
}

impl Generations {
    fn get(&self, key: u64) -> Option<u64> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    fn insert(&mut self, key: u64, value: u64) {
        if self.young.len() >= self.most {
            self.next();
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: u64) {
        self.young.remove(&key);
        self.old.remove(&key);
    }

    /// Starts a new generation when the young one is old enough. A clock that steps back restarts
    /// the time span.
    fn turn(&mut self, now: i64) {
        if self.begun > now || self.begun == i64::MIN {
            self.begun = now;
        }
        if now.saturating_sub(self.begun) >= self.span {
            self.next();
            self.begun = now;
        }
    }

    /// Drops the old generation and reuses its memory.
    fn next(&mut self) {
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

    fn memory(most: usize) -> Memory {
        Memory::new(most, 48 * 60)
    }

    fn receipt(memory: &Memory, id: &str, digest: u64, device: Option<u8>) -> DedupEntry {
        let attested = device.map(|key| AttestedKey {
            key: [key; 16],
            day: 20_000,
        });
        DedupEntry {
            id: memory.report_key("us-xx", id),
            digest,
            attested: attested.map(|attested| memory.device_key("us-xx", "a-v1", &attested)),
            counters: Arc::new(Metrics::new().reports("us-xx", "a-v1")),
        }
    }

    #[test]
    fn an_id_is_known_once_it_is_durable() {
        let memory = memory(100);
        let (one, other) = (
            receipt(&memory, "one", 1, None),
            receipt(&memory, "one", 2, None),
        );
        assert!(!memory.admit(&one, 0).unwrap());
        assert!(!memory.admit(&one, 0).unwrap());
        memory.durable(std::slice::from_ref(&one));
        assert!(memory.admit(&one, 0).unwrap());
        assert_eq!(
            memory.admit(&other, 0).unwrap_err().kind,
            ProblemKind::Conflict
        );
        assert_eq!(one.counters.accepted.get(), 1);
    }

    #[test]
    fn a_device_has_one_report_unless_it_was_lost() {
        let memory = memory(100);
        let (one, other) = (
            receipt(&memory, "one", 1, Some(7)),
            receipt(&memory, "other", 2, Some(7)),
        );
        assert!(!memory.admit(&one, 0).unwrap());
        assert!(!memory.admit(&one, 0).unwrap());
        assert_eq!(
            memory.admit(&other, 0).unwrap_err().kind,
            ProblemKind::AlreadyReported
        );
        memory.lost(std::slice::from_ref(&one));
        assert!(!memory.admit(&other, 0).unwrap());
    }

    #[test]
    fn time_forgets_after_the_acceptance_window_and_not_before_half_of_it() {
        let memory = memory(100);
        let one = receipt(&memory, "one", 1, None);
        assert!(!memory.admit(&one, 0).unwrap());
        memory.durable(std::slice::from_ref(&one));
        assert!(memory.admit(&one, 24 * HOUR).unwrap());
        assert!(memory.admit(&one, 47 * HOUR).unwrap());
        assert!(!memory.admit(&one, 48 * HOUR).unwrap());
        // A clock that steps back loses no entry.
        memory.durable(std::slice::from_ref(&one));
        assert!(memory.admit(&one, HOUR).unwrap());
        assert!(memory.admit(&one, 24 * HOUR).unwrap());
    }

    #[test]
    fn a_million_entries_stay_small() {
        let memory = memory(1_000_000);
        let base = receipt(&memory, "one", 1, None);
        for id in 0..1_200_000_u64 {
            let id = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            memory.durable(&[DedupEntry { id, ..base.clone() }]);
        }
        let (entries, capacity) = memory.size();
        assert!((500_000..=1_000_000).contains(&entries), "{entries}");
        // A hash table has 8 slots for 7 entries, and each slot takes two words and a byte.
        let bytes = capacity / 7 * 8 * 17;
        assert!(bytes <= 40 << 20, "{bytes}");
    }
}
