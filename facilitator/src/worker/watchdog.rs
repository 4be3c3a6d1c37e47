//! The watchdog: running operations, and whether they make progress.

use crate::progress::ProgressCallback;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The watchdog over all running operations.
#[derive(Clone, Debug)]
pub struct Watchdog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    begun: Instant,
    stuck_after: Duration,
    tasks: Mutex<(u64, BTreeMap<u64, WatchedTask>)>,
}

#[derive(Clone, Debug)]
struct WatchedTask {
    what: String,
    /// The time of the last progress, in milliseconds since the watchdog's creation.
    last: Arc<AtomicU64>,
}

/// A running operation, registered until this value is dropped.
#[derive(Debug)]
pub struct Heartbeat {
    watchdog: Watchdog,
    number: u64,
    last: Arc<AtomicU64>,
}

impl Watchdog {
    /// Creates a watchdog without operations. An operation without progress for `stuck_after`
    /// counts as stuck.
    #[must_use]
    pub fn new(stuck_after: Duration) -> Self {
        Self(Arc::new(Shared {
            begun: Instant::now(),
            stuck_after,
            tasks: Mutex::default(),
        }))
    }

    /// Registers an operation.
    #[must_use]
    pub fn watch(&self, what: impl Into<String>) -> Heartbeat {
        let (what, last) = (what.into(), Arc::new(AtomicU64::new(self.now())));
        let mut tasks = self.tasks();
        let number = tasks.0;
        tasks.0 += 1;
        let last_shared = Arc::clone(&last);
        tasks.1.insert(
            number,
            WatchedTask {
                what,
                last: last_shared,
            },
        );
        Heartbeat {
            watchdog: self.clone(),
            number,
            last,
        }
    }

    /// Returns a description of each operation without progress for too long.
    #[must_use]
    pub fn stuck(&self) -> Vec<String> {
        let now = self.now();
        let silence = |task: &WatchedTask| {
            Duration::from_millis(now.saturating_sub(task.last.load(Ordering::Relaxed)))
        };
        self.tasks()
            .1
            .values()
            .filter(|task| silence(task) > self.0.stuck_after)
            .map(|task| {
                format!(
                    "{} has made no progress for {} s",
                    task.what,
                    silence(task).as_secs()
                )
            })
            .collect()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn tasks(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, WatchedTask>)> {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heartbeat {
    /// Records progress.
    pub fn record(&self) {
        self.last.store(self.watchdog.now(), Ordering::Relaxed);
    }

    /// Returns a progress callback that records progress.
    #[must_use]
    pub fn progress(&self) -> ProgressCallback {
        let (watchdog, last) = (self.watchdog.clone(), Arc::clone(&self.last));
        Arc::new(move |_, _| last.store(watchdog.now(), Ordering::Relaxed))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.watchdog.tasks().1.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn what_says_nothing_for_too_long_is_stuck_until_it_does() {
        let watchdog = Watchdog::new(Duration::from_secs(900));
        let (silent, busy) = (watchdog.watch("one"), watchdog.watch("other"));
        let progress = busy.progress();
        advance(Duration::from_secs(600)).await;
        progress(1, 1);
        advance(Duration::from_secs(600)).await;
        assert_eq!(watchdog.stuck(), ["one has made no progress for 1200 s"]);
        silent.record();
        assert!(watchdog.stuck().is_empty());
        advance(Duration::from_secs(2000)).await;
        assert_eq!(watchdog.stuck().len(), 2);
        drop((silent, busy));
        assert!(
            watchdog.stuck().is_empty(),
            "a finished operation cannot be stuck"
        );
    }
}
