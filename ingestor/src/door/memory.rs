//! Which reports were accepted lately: ids and attested keys with what was accepted under them, best effort.
//!
//! Two generations take turns. A report is remembered for half the acceptance window at least, or until as many others
//! have come as half the limit; after twice that it is forgotten. An entry is two words, keyed hashes, so nobody can
//! choose ids that collide, and a million of them stay below 40 MiB.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tallybox_model::report::ProblemKind;

use super::Rejection;
use crate::attestation::AttestedKey;
use crate::spool::{Ledger, Receipt};

/// Separates ids of reports from everything else that is hashed here.
const REPORT: u8 = 1;
/// Separates attested keys.
const DEVICE: u8 = 2;

/// What all localities of a process remember.
#[derive(Debug)]
pub struct Memory {
    /// Keyed anew in every process.
    hash: RandomState,
    generations: Mutex<Generations>,
}

#[derive(Debug)]
struct Generations {
    young: Entries,
    old: Entries,
    /// When the young one was begun, in milliseconds since the epoch.
    begun: i64,
    /// Entries of one.
    most: usize,
    /// How long one is young, in milliseconds.
    span: i64,
}

type Entries = HashMap<u64, u64, BuildHasherDefault<AsItIs>>;

/// Keys are hashes already.
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
    /// Nothing yet; at most so many entries, for as many minutes as a report may come again.
    #[must_use]
    pub fn new(most: usize, minutes: u64) -> Self {
        let most = (most / 2).max(1);
        // All at once: a table that grows leaves holes of its former sizes. What is not used costs nothing.
        let entries = || Entries::with_capacity_and_hasher(most, BuildHasherDefault::default());
        Self {
            hash: RandomState::new(),
            generations: Mutex::new(Generations {
                young: entries(),
                old: entries(),
                begun: i64::MIN,
                most,
                span: i64::try_from(minutes.saturating_mul(30_000)).map_or(i64::MAX, |half| half.max(1)),
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

    /// Whether the report is durable already; `false` if it is new. An attested key is taken at once, so that of two
    /// reports on their way only one comes through; an id only when its report is durable.
    pub(super) fn admit(&self, receipt: &Receipt, now: i64) -> Result<bool, Rejection> {
        let mut generations = self.generations();
        generations.turn(now);
        match generations.get(receipt.id) {
            Some(digest) if digest == receipt.digest => return Ok(true),
            Some(_) => {
                return Err(Rejection::new(
                    ProblemKind::Conflict,
                    "another report with this uuid was accepted",
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
                "this device has sent another report of this metric for this day",
            )),
            Some(_) => Ok(false),
            None => {
                generations.insert(device, receipt.digest);
                Ok(false)
            }
        }
    }

    /// Entries, and the space for entries that is set aside.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let generations = self.generations();
        let (young, old) = (&generations.young, &generations.old);
        (young.len() + old.len(), young.capacity() + old.capacity())
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        // No call leaves it half done.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for Memory {
    fn durable(&self, receipts: &[Receipt]) {
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

    fn lost(&self, receipts: &[Receipt]) {
        let mut generations = self.generations();
        for receipt in receipts {
            // A second copy of a report that is durable takes nothing back.
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

    /// Begins another generation when the young one is old enough. A clock that steps back begins its span anew.
    fn turn(&mut self, now: i64) {
        if self.begun > now || self.begun == i64::MIN {
            self.begun = now;
        }
        if now.saturating_sub(self.begun) >= self.span {
            self.next();
            self.begun = now;
        }
    }

    /// The old one is forgotten, and its space used again.
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

    fn receipt(memory: &Memory, id: &str, digest: u64, device: Option<u8>) -> Receipt {
        let attested = device.map(|key| AttestedKey {
            key: [key; 16],
            day: 20_000,
        });
        Receipt {
            id: memory.report_key("us-xx", id),
            digest,
            attested: attested.map(|attested| memory.device_key("us-xx", "a-v1", &attested)),
            counters: Arc::new(Metrics::new().reports("us-xx", "a-v1")),
        }
    }

    #[test]
    fn an_id_is_known_once_it_is_durable() {
        let memory = memory(100);
        let (one, other) = (receipt(&memory, "one", 1, None), receipt(&memory, "one", 2, None));
        assert!(!memory.admit(&one, 0).unwrap());
        assert!(!memory.admit(&one, 0).unwrap());
        memory.durable(std::slice::from_ref(&one));
        assert!(memory.admit(&one, 0).unwrap());
        assert_eq!(memory.admit(&other, 0).unwrap_err().kind, ProblemKind::Conflict);
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
        assert_eq!(memory.admit(&other, 0).unwrap_err().kind, ProblemKind::AlreadyReported);
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
        // A step back is survived.
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
            memory.durable(&[Receipt { id, ..base.clone() }]);
        }
        let (entries, capacity) = memory.size();
        assert!((500_000..=1_000_000).contains(&entries), "{entries}");
        // A table has 8 slots for 7 entries, each of two words and a byte.
        let bytes = capacity / 7 * 8 * 17;
        assert!(bytes <= 40 << 20, "{bytes}");
    }
}
