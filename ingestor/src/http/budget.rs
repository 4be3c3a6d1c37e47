//! The memory budget of requests in progress: bytes are taken as they arrive and released after the
//! answer.
//!
//! Bytes that a client only announces are not reserved. If memory runs short, the bodies that have
//! been incomplete for longest are evicted in favour of newer ones. A client that sends some bytes
//! and then stalls therefore never blocks another client.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::network::Network;

/// Time for which an incomplete body cannot be evicted by newer ones.
const EVICTION_GRACE: Duration = Duration::from_secs(1);
/// Largest request that counts as small, in bytes. Part of the memory is reserved for small
/// requests.
const SMALL_REQUEST_BYTES: u64 = 64 << 10;
/// Bodies that hold fewer bytes are evicted last, since that frees little memory.
const MIN_EVICTED_BYTES: u64 = 4 << 10;

/// Limits of a budget, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BudgetLimits {
    /// Limit of all requests together.
    pub(super) all: u64,
    /// Limit of all requests together at which a large request is refused. The remainder is for
    /// small requests.
    pub(super) large: u64,
    /// Limit of the requests of one network.
    pub(super) per_network: u64,
}

/// The memory budget of the server.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: BudgetLimits,
    usage: Mutex<Usage>,
    used: Gauge,
    evicted: Counter,
}

#[derive(Debug, Default)]
struct Usage {
    used: u64,
    networks: HashMap<Network, u64>,
    next: u64,
    /// Bytes that wait for their client, in the order in which they started to wait.
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    bytes: u64,
    network: Option<Network>,
    since: Instant,
    cut: CancellationToken,
}

/// Bytes taken from a budget. Dropping the value releases them.
#[derive(Debug)]
pub(super) struct Hold {
    budget: Budget,
    network: Option<Network>,
    bytes: u64,
    /// Key of the entry among the bytes that wait for their client.
    waiting: Option<u64>,
}

impl Budget {
    pub(super) fn new(limits: BudgetLimits, used: Gauge, evicted: Counter) -> Self {
        Self(Arc::new(Inner {
            limits,
            usage: Mutex::default(),
            used,
            evicted,
        }))
    }

    /// Takes bytes for a request if they are available; never waits. A request without a known
    /// network is limited only by the total.
    pub(super) fn reserve(&self, bytes: u64, network: Option<Network>) -> Option<Hold> {
        let mut hold = Hold {
            budget: self.clone(),
            network,
            bytes: 0,
            waiting: None,
        };
        hold.grow(bytes).then_some(hold)
    }

    /// Takes the bytes of an answer, which is in memory already, until the client has read it.
    /// `cut` is cancelled if other requests need the memory.
    pub(super) fn answer(
        &self,
        bytes: u64,
        network: Option<Network>,
        cut: CancellationToken,
    ) -> Hold {
        self.0.usage().add(bytes, network);
        self.0.used.inc_by(bytes as i64);
        let mut hold = Hold {
            budget: self.clone(),
            network,
            bytes,
            waiting: None,
        };
        hold.wait(cut);
        hold
    }
}

impl Hold {
    /// Marks the bytes as waiting for the client. `cut` is cancelled if other requests need them.
    pub(super) fn wait(&mut self, cut: CancellationToken) {
        let mut usage = self.budget.0.usage();
        let id = usage.next;
        usage.next += 1;
        let waiting = Waiting {
            bytes: self.bytes,
            network: self.network,
            since: Instant::now(),
            cut,
        };
        usage.waiting.insert(id, waiting);
        self.waiting = Some(id);
    }

    /// Ends the wait for the client and keeps `bytes` of the taken bytes. Returns `false` if they
    /// have been evicted.
    pub(super) fn retain(&mut self, bytes: u64) -> bool {
        let surplus = self.bytes.saturating_sub(bytes);
        let mut usage = self.budget.0.usage();
        let retained = self
            .waiting
            .take()
            .is_none_or(|id| usage.waiting.remove(&id).is_some());
        if retained {
            usage.give_back(surplus, self.network);
            self.bytes -= surplus;
            self.budget.0.used.dec_by(surplus as i64);
        } else {
            self.bytes = 0;
        }
        retained
    }

    /// Takes more bytes, if necessary by evicting bodies that have been incomplete for longer.
    /// Returns whether it succeeded.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let inner = &self.budget.0;
        let limits = inner.limits;
        let mut usage = inner.usage();
        // The bytes were evicted while the client sent its body.
        if self
            .waiting
            .is_some_and(|id| !usage.waiting.contains_key(&id))
        {
            return false;
        }
        let most = match self.bytes.saturating_add(bytes) <= SMALL_REQUEST_BYTES {
            true => limits.all,
            false => limits.large,
        };
        let before = usage.used;
        let fits = loop {
            let network_bytes = self
                .network
                .and_then(|network| usage.networks.get(&network).copied());
            let wanted = network_bytes.unwrap_or(0).saturating_add(bytes);
            let only = if self.network.is_some() && wanted > limits.per_network {
                self.network
            } else if usage.used.saturating_add(bytes) > most {
                None
            } else {
                break true;
            };
            if !usage.evict(only, self.waiting) {
                break false;
            }
            inner.evicted.inc();
        };
        if fits {
            usage.add(bytes, self.network);
            self.bytes += bytes;
            if let Some(waiting) = self.waiting.and_then(|id| usage.waiting.get_mut(&id)) {
                waiting.bytes += bytes;
            }
        }
        inner.used.inc_by(usage.used as i64 - before as i64);
        fits
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.retain(0);
    }
}

impl Inner {
    fn usage(&self) -> MutexGuard<'_, Usage> {
        // No method leaves the usage inconsistent, so a poisoned lock is safe to use.
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Usage {
    fn add(&mut self, bytes: u64, network: Option<Network>) {
        self.used += bytes;
        if let Some(network) = network {
            *self.networks.entry(network).or_default() += bytes;
        }
    }

    fn give_back(&mut self, bytes: u64, network: Option<Network>) {
        self.used = self.used.saturating_sub(bytes);
        let Some(network) = network else { return };
        if let Some(used) = self.networks.get_mut(&network) {
            *used = used.saturating_sub(bytes);
            if *used == 0 {
                self.networks.remove(&network);
            }
        }
    }

    /// Evicts the bytes that have waited for their client for longest, and returns whether there
    /// were any. With `network`, only bytes of this network are evicted. With `than`, the key of a
    /// waiting request, only bytes that have waited for longer than it.
    fn evict(&mut self, network: Option<Network>, than: Option<u64>) -> bool {
        let safe_since = Instant::now().checked_sub(EVICTION_GRACE);
        let older = self.waiting.range(..than.unwrap_or(u64::MAX));
        let mut candidates = older
            .take_while(|(_, waiting)| safe_since.is_some_and(|safe| waiting.since <= safe))
            .filter(|(_, waiting)| network.is_none() || waiting.network == network);
        let mut any = None;
        let found = candidates.find(|(id, waiting)| {
            any = any.or(Some(**id));
            waiting.bytes >= MIN_EVICTED_BYTES
        });
        let Some(id) = found.map(|(id, _)| *id).or(any) else {
            return false;
        };
        if let Some(waiting) = self.waiting.remove(&id) {
            waiting.cut.cancel();
            self.give_back(waiting.bytes, waiting.network);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const K: u64 = 1 << 10;

    fn network(last: u8) -> Option<Network> {
        Some(Network::from_address([10, 0, last, 1].into()))
    }

    fn budget(all: u64, per_network: u64) -> (Budget, Gauge) {
        let used = Gauge::default();
        let large = all / 4 * 3;
        let limits = BudgetLimits {
            all,
            large,
            per_network,
        };
        (Budget::new(limits, used.clone(), Counter::default()), used)
    }

    #[test]
    fn bytes_come_back() {
        let (budget, used) = budget(100, 100);
        let mut hold = budget.reserve(60, None).unwrap();
        assert!(budget.reserve(41, network(1)).is_none() && !hold.grow(41) && hold.grow(40));
        assert_eq!(used.get(), 100);
        assert!(hold.retain(30) && hold.retain(200));
        assert_eq!(used.get(), 30);
        assert!(budget.reserve(70, None).is_some());
        drop(hold);
        assert_eq!(used.get(), 0);
        assert!(
            budget.reserve(100, network(1)).is_some() && budget.reserve(u64::MAX, None).is_none()
        );
        assert!(budget.0.usage().networks.is_empty());
    }

    #[test]
    fn a_network_has_its_part_and_small_requests_have_theirs() {
        let (budget, _) = budget(1000 * K, 500 * K);
        let _large = budget.reserve(450 * K, network(1)).unwrap();
        assert!(budget.reserve(51 * K, network(1)).is_none());
        let _other = budget.reserve(300 * K, network(2)).unwrap();
        assert!(
            budget.reserve(100 * K, network(3)).is_none(),
            "the last quarter is reserved for small requests"
        );
        assert!(budget.reserve(50 * K, network(3)).is_some());
        let _proxied = budget.reserve(60 * K, None).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_slow_client_makes_room_for_others() {
        let (budget, used) = budget(1000 * K, 1000 * K);
        let mut held: Vec<_> = (0..10)
            .map(|index| budget.reserve(60 * K, network(index)).unwrap())
            .collect();
        let cuts: Vec<_> = held.iter().map(|_| CancellationToken::new()).collect();
        for (hold, cut) in held.iter_mut().zip(&cuts) {
            hold.wait(cut.clone());
        }
        assert!(budget.reserve(700 * K, None).is_none(), "all are fresh");
        tokio::time::advance(EVICTION_GRACE).await;
        let mut fresh = budget.reserve(300 * K, None).unwrap();
        fresh.wait(CancellationToken::new());
        let evicted: Vec<_> = cuts.iter().map(CancellationToken::is_cancelled).collect();
        assert_eq!(
            evicted.iter().filter(|evicted| **evicted).count(),
            3,
            "{evicted:?}"
        );
        assert!(
            evicted[..3].iter().all(|evicted| *evicted),
            "the oldest first: {evicted:?}"
        );
        assert_eq!(used.get(), 720 * K as i64);
        // A hold that was evicted takes no more bytes and releases none a second time.
        assert!(!held[0].grow(1) && !held[0].retain(1) && held[9].retain(10 * K));
        // A hold that waits does not evict newer ones.
        tokio::time::advance(EVICTION_GRACE).await;
        assert!(!held[3].grow(800 * K));
        drop((held, fresh));
        assert_eq!(used.get(), 0);
    }
}
