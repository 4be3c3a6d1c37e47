//! What time it is: passed in, so that tests can turn it forward and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock: milliseconds since the epoch.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Where a test has set it.
    set: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// One that stands still until it is [`set`](Self::set).
    #[must_use]
    pub fn manual(millis: i64) -> Self {
        Self {
            set: Some(Arc::new(AtomicI64::new(millis))),
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn millis(&self) -> i64 {
        match &self.set {
            Some(set) => set.load(Ordering::SeqCst),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// Sets a manual clock, forward or back; does nothing to the machine's.
    pub fn set(&self, millis: i64) {
        if let Some(set) = &self.set {
            set.store(millis, Ordering::SeqCst);
        }
    }
}
