//! Memory for the packets of all batches that are worked on at once.

use crate::intake::Progress;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// What every batch takes, in MiB: blocks on their way to the threads and back, chunks of the prepared batch.
const BASE_MIB: u64 = 16;
/// What identifiers and messages take, beside that: a part of the bytes of the packets.
const PART: u64 = 4;
/// How often one that waits says that it is not stuck.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Memory for the packets of all batches that are worked on at once. Clones share it. By default without bounds.
#[derive(Clone, Debug, Default)]
pub struct Budget(Option<Arc<Bounded>>);

#[derive(Debug)]
struct Bounded {
    free: Arc<Semaphore>,
    all: u32,
}

/// Memory that is taken until this is dropped.
#[derive(Debug)]
pub struct Share(#[allow(dead_code, reason = "held for its end")] Option<OwnedSemaphorePermit>);

impl Budget {
    /// So many MiB.
    #[must_use]
    pub fn of_mib(mib: u64) -> Self {
        let all = u32::try_from(mib).unwrap_or(u32::MAX).clamp(1, 1 << 28);
        let free = Arc::new(Semaphore::new(all as usize));
        Self(Some(Arc::new(Bounded { free, all })))
    }

    /// Takes memory for a batch of so many bytes, all of it at once and after all who came before; waits for it if need
    /// be, and says at times to `progress` that this is no standstill. One that is larger than all of it takes all.
    pub async fn take(&self, bytes: u64, progress: &Progress) -> Share {
        self.take_memory(bytes / PART, progress).await
    }

    /// Takes so many bytes beyond what every batch takes; else as [`Self::take`]. For what is known by what it becomes in
    /// memory, such as the messages of a peer, who decides how small a file they come in.
    pub async fn take_memory(&self, bytes: u64, progress: &Progress) -> Share {
        let Some(bounded) = &self.0 else {
            return Share(None);
        };
        let mib = BASE_MIB.saturating_add(bytes >> 20);
        let mib = u32::try_from(mib).unwrap_or(u32::MAX).min(bounded.all);
        let taking = Arc::clone(&bounded.free).acquire_many_owned(mib);
        tokio::pin!(taking);
        loop {
            match timeout(SIGN_OF_LIFE, taking.as_mut()).await {
                // It is never closed.
                Ok(taken) => return Share(taken.ok()),
                Err(_) => progress(0, 0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::no_progress;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn a_batch_waits_for_those_before_it() {
        let budget = Budget::of_mib(64);
        let progress = no_progress();
        let first = budget.take(0, &progress).await;
        let second = budget.take(64 << 20, &progress).await;
        assert!(
            budget.take(4 << 20, &progress).now_or_never().is_none(),
            "16 + 32 of 64 are taken"
        );
        drop(first);
        let third = budget.take(0, &progress).now_or_never();
        assert!(third.is_some());
        assert!(budget.take(1 << 40, &progress).now_or_never().is_none());
        drop((second, third));
        assert!(
            budget.take(1 << 40, &progress).now_or_never().is_some(),
            "larger than all takes all"
        );
        assert!(Budget::default().take(1 << 60, &progress).now_or_never().is_some());
    }
}
