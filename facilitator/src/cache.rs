//! A cache for objects of the own bucket that never change after their creation.

use crate::prepared::KeyUse;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tallybox_model::time::BatchTime;
use tokio::sync::OnceCell;

/// The largest prepared batch in the cache, in bytes.
pub(crate) const SMALL_FOOTER_BYTES: usize = 256 << 10;

/// The numbers of failed proofs, by fingerprint of the packet key.
pub(crate) type Failures = HashMap<String, u64>;

/// The data that a processor caches between batches. A cache belongs to one own bucket, so each new
/// processor starts with an empty cache.
#[derive(Debug, Default)]
pub struct Cache {
    /// The time at which the own bucket was first used.
    pub(crate) bucket_created: OnceCell<BatchTime>,
    pins: Mutex<HashMap<String, Option<KeyUse>>>,
    witnesses: Mutex<Witnesses>,
    wear: Mutex<Wear>,
    prepared: Mutex<PreparedBatches>,
}

/// The packet keys in the footers of prepared batches, as far as the footers have been read.
#[derive(Debug, Default)]
struct Witnesses {
    read: HashSet<String>,
    by_key: HashMap<String, (String, KeyUse)>,
}

/// Counts of failed proofs, and pending alarms about packet keys.
#[derive(Debug, Default)]
struct Wear {
    failures: Option<(i64, Arc<Failures>)>,
    alarms: Vec<&'static str>,
}

/// Small prepared batches in their stored, sealed form. The oldest entries are evicted first.
#[derive(Debug, Default)]
struct PreparedBatches {
    max_bytes: u64,
    bytes: u64,
    last: u64,
    by_name: HashMap<String, (u64, Bytes)>,
    by_age: BTreeMap<u64, String>,
}

impl Cache {
    /// Sets the total size of the cached prepared batches. The default is 0: none is cached.
    pub fn set_prepared_bytes(&self, bytes: u64) {
        self.prepared().max_bytes = bytes;
    }

    /// Returns the cached pin of a key: `None` if it was not read yet, `Some(None)` if there was
    /// none. Another process may have written a pin since then; the attempt to write one finds it.
    pub(crate) fn pin(&self, fingerprint: &str) -> Option<Option<KeyUse>> {
        self.pins().get(fingerprint).cloned()
    }

    /// Caches the pin of a key, or its absence.
    pub(crate) fn set_pin(&self, fingerprint: &str, pin: Option<KeyUse>) {
        self.pins().insert(fingerprint.to_owned(), pin);
    }

    /// Removes a key's pin from the cache, because another process has written one.
    pub(crate) fn remove_pin(&self, fingerprint: &str) {
        self.pins().remove(fingerprint);
    }

    /// Returns a cached prepared batch.
    pub(crate) fn prepared_batch(&self, object: &str) -> Option<Bytes> {
        self.prepared()
            .by_name
            .get(object)
            .map(|(_, bytes)| bytes.clone())
    }

    /// Caches a prepared batch that exists in the own bucket.
    pub(crate) fn store_prepared(&self, object: &str, bytes: &Bytes) {
        let mut prepared = self.prepared();
        if bytes.len() > SMALL_FOOTER_BYTES || prepared.by_name.contains_key(object) {
            return;
        }
        // Both maps store the name; 128 bytes approximate their overhead per entry.
        let size = |name: &str, bytes: &Bytes| (bytes.len() + 2 * name.len() + 128) as u64;
        prepared.last += 1;
        let age = prepared.last;
        prepared.bytes += size(object, bytes);
        prepared
            .by_name
            .insert(object.to_owned(), (age, bytes.clone()));
        prepared.by_age.insert(age, object.to_owned());
        while prepared.bytes > prepared.max_bytes
            && let Some((_, name)) = prepared.by_age.pop_first()
        {
            if let Some((_, bytes)) = prepared.by_name.remove(&name) {
                prepared.bytes -= size(&name, &bytes);
            }
        }
    }

    /// Returns whether the footer of a prepared batch has been read for its packet keys.
    pub(crate) fn has_keys_of(&self, object: &str) -> bool {
        self.witnesses().read.contains(object)
    }

    /// Caches the packet keys of a prepared batch. For each key the first entry stays; it comes
    /// from the newest batch, because the search reads the newest batches first.
    pub(crate) fn store_keys_of(&self, object: &str, keys: &[KeyUse]) {
        let mut witnesses = self.witnesses();
        witnesses.read.insert(object.to_owned());
        for key in keys {
            let witness = (object.to_owned(), key.clone());
            witnesses.by_key.entry(key.key.clone()).or_insert(witness);
        }
    }

    /// Returns a prepared batch that was made with this key, and the key's entry in its footer.
    pub(crate) fn witness(&self, fingerprint: &str) -> Option<(String, KeyUse)> {
        self.witnesses().by_key.get(fingerprint).cloned()
    }

    /// Returns the failed proofs by packet key, if they were listed within this time.
    pub(crate) fn failures(&self, from: i64, to: i64) -> Option<Arc<Failures>> {
        let (at, failures) = self.wear().failures.clone()?;
        (from..=to).contains(&at).then_some(failures)
    }

    /// Returns the failed proofs by packet key of the last listing.
    pub(crate) fn last_failures(&self) -> Option<Arc<Failures>> {
        self.wear()
            .failures
            .as_ref()
            .map(|(_, failures)| Arc::clone(failures))
    }

    /// Caches the failed proofs by packet key, listed at this time.
    pub(crate) fn store_failures(&self, at: i64, failures: &Arc<Failures>) {
        self.wear().failures = Some((at, Arc::clone(failures)));
    }

    /// Adds failed proofs that this process has counted since the listing.
    pub(crate) fn add_failures(&self, key: &str, failed: u64) {
        if let Some((_, failures)) = &mut self.wear().failures {
            *Arc::make_mut(failures).entry(key.to_owned()).or_default() += failed;
        }
    }

    /// Stores an alarm until [`Self::take_alarms`] returns it.
    pub(crate) fn alarm(&self, reason: &'static str) {
        self.wear().alarms.push(reason);
    }

    /// Returns the alarms about packet keys since the last call.
    pub(crate) fn take_alarms(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.wear().alarms)
    }

    fn wear(&self) -> MutexGuard<'_, Wear> {
        self.wear.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn witnesses(&self) -> MutexGuard<'_, Witnesses> {
        self.witnesses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<String, Option<KeyUse>>> {
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
        cache.store_prepared("none", &bytes);
        assert!(
            cache.prepared_batch("none").is_none(),
            "nothing is cached unless configured"
        );
        cache.set_prepared_bytes(2500);
        for name in ["a", "b", "b", "c"] {
            cache.store_prepared(name, &bytes);
        }
        let cached = ["a", "b", "c"].map(|name| cache.prepared_batch(name).is_some());
        assert_eq!(cached, [false, true, true]);
        cache.store_prepared("large", &Bytes::from(vec![0; SMALL_FOOTER_BYTES + 1]));
        assert!(cache.prepared_batch("large").is_none() && cache.prepared_batch("c").is_some());
    }
}
