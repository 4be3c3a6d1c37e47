//! Rate limits per key, in reports per minute on average.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Number of takes after which keys with a full allowance are removed.
const ACQUISITIONS_BETWEEN_CLEANINGS: u64 = 1 << 16;

/// A rate limit for each key. Keys are digests or address prefixes, which identify no person.
#[derive(Debug)]
pub(crate) struct Rates<K: Hash + Eq + Clone = [u8; 16]> {
    /// `None` if there is no limit.
    limiter: Option<DefaultKeyedRateLimiter<K>>,
    acquisitions: AtomicU64,
}

impl<K: Hash + Eq + Clone> Rates<K> {
    /// Creates limits of `count` reports per minute, with bursts of the same size. 0 means no
    /// limit.
    pub(crate) fn per_minute(count: u32) -> Self {
        let quota = NonZeroU32::new(count).map(Quota::per_minute);
        Self {
            limiter: quota.map(RateLimiter::keyed),
            acquisitions: AtomicU64::new(0),
        }
    }

    /// Counts one report. Returns `false` if the key has reached its limit.
    pub(crate) fn try_acquire(&self, key: &K) -> bool {
        let Some(limiter) = &self.limiter else {
            return true;
        };
        let acquisitions = self.acquisitions.fetch_add(1, Ordering::Relaxed);
        if acquisitions % ACQUISITIONS_BETWEEN_CLEANINGS == ACQUISITIONS_BETWEEN_CLEANINGS - 1 {
            self.remove_idle_keys();
        }
        limiter.check_key(key).is_ok()
    }

    /// Removes the keys that have their full allowance again.
    pub(crate) fn remove_idle_keys(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }

    /// Returns the number of keys with an entry.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.limiter
            .as_ref()
            .map_or(0, DefaultKeyedRateLimiter::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_and_none_is_no_limit() {
        let rates = Rates::per_minute(2);
        assert!(rates.try_acquire(&[1; 16]) && rates.try_acquire(&[1; 16]));
        assert!(!rates.try_acquire(&[1; 16]));
        assert!(rates.try_acquire(&[2; 16]));
        assert_eq!(rates.len(), 2);
        let unlimited = Rates::per_minute(0);
        assert!((0..1000).all(|_| unlimited.try_acquire(&[1; 16])));
        assert_eq!(unlimited.len(), 0);
    }
}
