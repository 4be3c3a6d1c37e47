//! What never changes once it stands in the own bucket, kept between batches so that it is not fetched again.

use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tallybox_model::time::BatchTime;
use tokio::sync::OnceCell;

/// The largest prepared batch that is kept, in bytes.
pub(crate) const SMALL: usize = 256 << 10;

/// What a processor keeps between batches. It belongs to one own bucket, so a new processor begins with a new one.
#[derive(Debug, Default)]
pub struct Cache {
    /// The time at which the own bucket was first used.
    pub(crate) birth: OnceCell<BatchTime>,
    pins: Mutex<HashMap<String, Option<u32>>>,
    prepared: Mutex<PreparedBatches>,
}

/// Small prepared batches as they are stored, sealed; the oldest go first.
#[derive(Debug, Default)]
struct PreparedBatches {
    most: u64,
    held: u64,
    last: u64,
    by_name: HashMap<String, (u64, Bytes)>,
    by_age: BTreeMap<u64, String>,
}

impl Cache {
    /// Keeps small prepared batches, of so many bytes in all. By default none is.
    pub fn remember_prepared(&self, bytes: u64) {
        self.prepared().most = bytes;
    }

    /// What is known of a key's pinned point: not looked at yet, none was there, or its value. That none was there may
    /// have changed since, which is found out when one is fixed.
    pub(crate) fn pin(&self, fingerprint: &str) -> Option<Option<u32>> {
        self.pins().get(fingerprint).copied()
    }

    /// Keeps what was found in the own bucket, or has been fixed there.
    pub(crate) fn set_pin(&self, fingerprint: &str, value: Option<u32>) {
        self.pins().insert(fingerprint.to_owned(), value);
    }

    /// Forgets what is known of a key's point: somebody else has fixed one.
    pub(crate) fn forget_pin(&self, fingerprint: &str) {
        self.pins().remove(fingerprint);
    }

    /// A prepared batch that is kept.
    pub(crate) fn prepared_batch(&self, object: &str) -> Option<Bytes> {
        self.prepared().by_name.get(object).map(|(_, bytes)| bytes.clone())
    }

    /// Keeps a prepared batch that stands in the own bucket.
    pub(crate) fn keep_prepared(&self, object: &str, bytes: &Bytes) {
        let mut prepared = self.prepared();
        if bytes.len() > SMALL || prepared.by_name.contains_key(object) {
            return;
        }
        let size = |name: &str, bytes: &Bytes| (bytes.len() + 2 * name.len() + 128) as u64;
        prepared.last += 1;
        let age = prepared.last;
        prepared.held += size(object, bytes);
        prepared.by_name.insert(object.to_owned(), (age, bytes.clone()));
        prepared.by_age.insert(age, object.to_owned());
        while prepared.held > prepared.most
            && let Some((_, name)) = prepared.by_age.pop_first()
        {
            if let Some((_, bytes)) = prepared.by_name.remove(&name) {
                prepared.held -= size(&name, &bytes);
            }
        }
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<String, Option<u32>>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepared(&self) -> MutexGuard<'_, PreparedBatches> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_prepared_batches_go_first() {
        let cache = Cache::default();
        let bytes = Bytes::from(vec![0; 1000]);
        cache.keep_prepared("none", &bytes);
        assert!(cache.prepared_batch("none").is_none(), "nothing is kept unasked");
        cache.remember_prepared(2500);
        for name in ["a", "b", "b", "c"] {
            cache.keep_prepared(name, &bytes);
        }
        let kept = ["a", "b", "c"].map(|name| cache.prepared_batch(name).is_some());
        assert_eq!(kept, [false, true, true]);
        cache.keep_prepared("large", &Bytes::from(vec![0; SMALL + 1]));
        assert!(cache.prepared_batch("large").is_none() && cache.prepared_batch("c").is_some());
    }
}
