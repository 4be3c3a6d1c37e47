//! The window of a slab: the current one by the server's clock, but never one that is planned
//! already.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use futures::TryStreamExt as _;
use tallybox_model::spool::SpoolNames;
use tallybox_model::time::{BatchTime, Window, aligned_window};
use tallybox_transport::{Bucket, BucketError, ListRange};

use crate::config::BatchConfig;
use tallybox_service::clock::Clock;

/// Time before now for which plans are scanned. Older plans cannot affect a window that is
/// still open.
const PLAN_SCAN_MINUTES: i64 = 3 * 24 * 60;

/// The windows of a locality, as this process knows them.
#[derive(Debug)]
pub struct Windows {
    clock: Clock,
    minutes: u32,
    /// Time after the end of its window for which a slab may be acknowledged, in milliseconds.
    grace_millis: i64,
    /// Start of the first window that is not known to be planned, in milliseconds since the epoch.
    floor: AtomicI64,
    behind: AtomicBool,
}

impl Windows {
    /// Creates the windows for this clock and configuration.
    #[must_use]
    pub fn new(clock: Clock, batches: &BatchConfig) -> Self {
        Self {
            clock,
            minutes: batches.window_minutes,
            // The other half of the time allows for clocks that differ.
            grace_millis: i64::try_from(batches.settle_secs.saturating_mul(1000) / 2)
                .unwrap_or(i64::MAX),
            floor: AtomicI64::new(i64::MIN),
            behind: AtomicBool::new(false),
        }
    }

    /// Returns the window of a slab that starts now, or `None` outside the years 1 to 9999.
    #[must_use]
    pub fn present(&self) -> Option<Window> {
        let current = aligned_window(BatchTime::of_clock(self.clock.millis()), self.minutes)?;
        let floor = self.floor.load(Ordering::SeqCst);
        if current.start().millis() >= floor {
            return Some(current);
        }
        aligned_window(BatchTime::from_millis(floor)?, self.minutes)
    }

    /// Returns whether it is too late to acknowledge a slab of the window, because its plan may
    /// have been made without the slab.
    #[must_use]
    pub fn is_too_late(&self, window: Window) -> bool {
        window.end().millis().saturating_add(self.grace_millis) <= self.clock.millis()
    }

    /// Returns whether the last scan found a plan of a window that has not ended by this clock.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::SeqCst)
    }

    /// Returns the length of windows, in minutes.
    pub(super) fn minutes(&self) -> u32 {
        self.minutes
    }

    /// Returns the seconds since `millis`, at least 0.
    pub(super) fn seconds_since(&self, millis: i64) -> i64 {
        (self.clock.millis().saturating_sub(millis) / 1000).max(0)
    }

    /// Scans for the newest plan and returns whether the clock is behind it. From then on, no slab
    /// is assigned to its window or an earlier one.
    ///
    /// # Errors
    /// [`BucketError`] if the spool cannot be listed. Nothing changes then.
    pub async fn refresh(
        &self,
        spool: &dyn Bucket,
        names: &SpoolNames,
    ) -> Result<bool, BucketError> {
        let now = BatchTime::of_clock(self.clock.millis());
        let since = now.plus_minutes(-PLAN_SCAN_MINUTES).unwrap_or(now);
        let range = ListRange {
            start_at: Some(names.plan(since)),
            end_before: None,
        };
        let plans = spool.list(&names.plans(), range).await?;
        let newest = plans
            .try_fold(None, |newest: Option<BatchTime>, entry| async move {
                Ok(newest.max(names.parse_plan(&entry.key)))
            })
            .await?;
        let Some(newest) = newest else {
            self.behind.store(false, Ordering::SeqCst);
            return Ok(false);
        };
        let next = aligned_window(newest, self.minutes)
            .map_or(newest.millis(), |window| window.end().millis());
        self.floor.fetch_max(next, Ordering::SeqCst);
        let behind = self.clock.millis() < next;
        self.behind.store(behind, Ordering::SeqCst);
        Ok(behind)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tallybox_transport::{memory, publish_bytes};

    use super::*;

    #[tokio::test]
    async fn a_planned_window_gets_no_slab_however_early_it_began() {
        let names = SpoolNames::new("us-xx-ingestor".parse().unwrap());
        for days in [1, 2] {
            let minutes = days * 24 * 60;
            let time = "2026/11/23/10/00".parse().unwrap();
            let current = aligned_window(time, minutes).unwrap();
            let batches = BatchConfig {
                window_minutes: minutes,
                ..BatchConfig::default()
            };
            let clock = Clock::manual(current.end().millis() - 30 * 60_000);
            let windows = Windows::new(clock.clone(), &batches);
            let spool = memory("spool");
            assert!(!windows.refresh(&*spool, &names).await.unwrap());
            assert_eq!(windows.present(), Some(current));

            let plan = names.plan(current.start());
            publish_bytes(&*spool, &plan, vec![0].into(), false)
                .await
                .unwrap();
            assert!(windows.refresh(&*spool, &names).await.unwrap());
            assert!(windows.is_behind());
            assert_eq!(windows.present().unwrap().start(), current.end());

            clock.set(current.end().millis());
            assert!(!windows.refresh(&*spool, &names).await.unwrap());
        }
    }

    #[test]
    fn a_slab_is_late_half_the_settling_time_after_its_window() {
        let window = aligned_window("2026/11/23/10/00".parse().unwrap(), 60).unwrap();
        let batches = BatchConfig {
            window_minutes: 60,
            settle_secs: 300,
            ..BatchConfig::default()
        };
        let clock = Clock::manual(0);
        let windows = Windows::new(clock.clone(), &batches);
        let end = window.end().millis();
        for (millis, late) in [(149_999, false), (150_000, true)] {
            clock.set(end + millis);
            assert_eq!(windows.is_too_late(window), late, "{millis}");
        }
        assert_eq!(windows.seconds_since(end), 150);
        assert_eq!(windows.seconds_since(end + 200_000), 0);
    }
}
