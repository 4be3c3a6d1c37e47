//! The memory budget for the packets of concurrent batches.

use crate::progress::ProgressCallback;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The fixed part of every batch, in MiB: blocks on their way to the threads and back, and chunks
/// of the prepared batch.
const BASE_MIB: u64 = 16;
/// The divisor of the variable part: identifiers and messages take this fraction of the size of the
/// packets.
const VARIABLE_DIVISOR: u64 = 4;
/// The interval at which a waiting request reports progress, so that the watchdog does not regard
/// it as stuck.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// The memory budget for the packets of concurrent batches. Clones share the budget. The default is
/// unlimited.
#[derive(Clone, Debug, Default)]
pub struct Budget(Option<Arc<Bounded>>);

#[derive(Debug)]
struct Bounded {
    free: Arc<Semaphore>,
    all: u32,
}

/// Reserved memory, released on drop.
#[derive(Debug)]
pub struct MemoryPermit(
    #[allow(dead_code, reason = "releases the memory on drop")] Option<OwnedSemaphorePermit>,
);

impl Budget {
    /// Creates a budget of `mib` MiB.
    #[must_use]
    pub fn from_mib(mib: u64) -> Self {
        let all = u32::try_from(mib).unwrap_or(u32::MAX).clamp(1, 1 << 28);
        let free = Arc::new(Semaphore::new(all as usize));
        Self(Some(Arc::new(Bounded { free, all })))
    }

    /// Reserves memory for a batch of `bytes` bytes, all at once, and waits until it is available.
    /// Requests are served in their order. While it waits, the function calls `progress` at
    /// intervals. A request larger than the budget takes the whole budget.
    pub async fn acquire(&self, bytes: u64, progress: &ProgressCallback) -> MemoryPermit {
        self.take_memory(bytes / VARIABLE_DIVISOR, progress).await
    }

    /// Reserves `bytes` in addition to the fixed part of every batch, otherwise as
    /// [`Self::acquire`]. For data whose size in memory is known, such as the messages of a peer:
    /// the peer chooses how small a file they come in.
    pub async fn take_memory(&self, bytes: u64, progress: &ProgressCallback) -> MemoryPermit {
        let Some(bounded) = &self.0 else {
            return MemoryPermit(None);
        };
        let mib = BASE_MIB.saturating_add(bytes >> 20);
        // A request larger than the semaphore would never be granted.
        let mib = u32::try_from(mib).unwrap_or(u32::MAX).min(bounded.all);
        let acquiring = Arc::clone(&bounded.free).acquire_many_owned(mib);
        tokio::pin!(acquiring);
        loop {
            match timeout(PROGRESS_INTERVAL, acquiring.as_mut()).await {
                // The semaphore is never closed.
                Ok(permit) => return MemoryPermit(permit.ok()),
                Err(_) => progress(0, 0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::no_progress;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn a_batch_waits_for_those_before_it() {
        let budget = Budget::from_mib(64);
        let progress = no_progress();
        let first = budget.acquire(0, &progress).await;
        let second = budget.acquire(64 << 20, &progress).await;
        assert!(
            budget.acquire(4 << 20, &progress).now_or_never().is_none(),
            "16 + 32 of 64 are taken"
        );
        drop(first);
        let third = budget.acquire(0, &progress).now_or_never();
        assert!(third.is_some());
        assert!(budget.acquire(1 << 40, &progress).now_or_never().is_none());
        drop((second, third));
        assert!(
            budget.acquire(1 << 40, &progress).now_or_never().is_some(),
            "larger than all takes all"
        );
        assert!(
            Budget::default()
                .acquire(1 << 60, &progress)
                .now_or_never()
                .is_some()
        );
    }
}
