//! Bytes that are being worked on: taken before they are read, given back after the answer.

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// How many bytes there are.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    left: Arc<Semaphore>,
    used: Gauge,
}

/// Bytes taken from a budget, until it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    permit: OwnedSemaphorePermit,
    budget: Budget,
}

impl Budget {
    pub(super) fn new(bytes: u64, used: Gauge) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let left = Arc::new(Semaphore::new(bytes));
        Self { left, used }
    }

    /// Takes bytes, if there are so many left; never waits.
    pub(super) fn take(&self, bytes: u64) -> Option<Hold> {
        let permit = self.permit(bytes)?;
        let budget = self.clone();
        Some(Hold { permit, budget })
    }

    fn permit(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let count = u32::try_from(bytes).ok()?;
        match Arc::clone(&self.left).try_acquire_many_owned(count) {
            Ok(permit) => {
                self.used.inc_by(i64::from(count));
                Some(permit)
            }
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => None,
        }
    }
}

impl Hold {
    /// Takes more, if there is more left.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let Some(more) = self.budget.permit(bytes) else {
            return false;
        };
        self.permit.merge(more);
        true
    }

    /// Gives back what is above so many bytes.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let surplus = self.permit.num_permits().saturating_sub(bytes);
        if let Some(permit) = self.permit.split(surplus) {
            self.budget.used.dec_by(permit.num_permits() as i64);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.used.dec_by(self.permit.num_permits() as i64);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bytes_come_back() {
        let used = Gauge::default();
        let budget = Budget::new(100, used.clone());
        let mut hold = budget.take(60).unwrap();
        assert!(budget.take(41).is_none() && !hold.grow(41) && hold.grow(40));
        assert_eq!(used.get(), 100);
        hold.shrink_to(30);
        hold.shrink_to(200);
        assert_eq!(used.get(), 30);
        assert!(budget.take(70).is_some());
        drop(hold);
        assert_eq!(used.get(), 0);
        assert!(budget.take(100).is_some() && budget.take(u64::MAX).is_none());
    }
}
