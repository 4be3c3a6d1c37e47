//! In which window a slab stands: by the server's clock, but never in one that is planned already.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use futures::TryStreamExt as _;
use tallybox_model::spool::SpoolNames;
use tallybox_model::time::{BatchTime, Window, aligned_window};
use tallybox_transport::{Bucket, BucketError, ListRange};

use crate::config::BatchConfig;
use tallybox_service::clock::Clock;

/// How far behind the clock plans are looked for. Older ones say nothing about a window that is still open.
const LOOK_BACK_MINUTES: i64 = 3 * 24 * 60;

/// The windows of a locality, as this process sees them.
#[derive(Debug)]
pub struct Windows {
    clock: Clock,
    minutes: u32,
    /// How long after its end a slab of a window may still be acknowledged, in milliseconds.
    grace: i64,
    /// First window that is not planned, as far as is known: milliseconds since the epoch.
    floor: AtomicI64,
    behind: AtomicBool,
}

impl Windows {
    /// Windows by this clock.
    #[must_use]
    pub fn new(clock: Clock, batches: &BatchConfig) -> Self {
        Self {
            clock,
            minutes: batches.window_minutes,
            grace: i64::try_from(batches.settle_secs.saturating_mul(1000) / 2).unwrap_or(i64::MAX),
            floor: AtomicI64::new(i64::MIN),
            behind: AtomicBool::new(false),
        }
    }

    /// The window of a slab that is begun now; none outside the years 1 to 9999.
    #[must_use]
    pub fn present(&self) -> Option<Window> {
        let by_clock = aligned_window(BatchTime::of_clock(self.clock.millis()), self.minutes)?;
        let floor = self.floor.load(Ordering::SeqCst);
        if by_clock.start().millis() >= floor {
            return Some(by_clock);
        }
        aligned_window(BatchTime::from_millis(floor)?, self.minutes)
    }

    /// Whether it is too late to acknowledge a slab of the window: its plan may be made without it.
    #[must_use]
    pub fn is_too_late(&self, window: Window) -> bool {
        window.end().millis().saturating_add(self.grace) <= self.clock.millis()
    }

    /// Whether the last look found a plan of a window that the clock has not passed.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::SeqCst)
    }

    /// How long windows are, in minutes.
    pub(super) fn minutes(&self) -> u32 {
        self.minutes
    }

    /// Seconds since then, none below 0.
    pub(super) fn seconds_since(&self, millis: i64) -> i64 {
        (self.clock.millis().saturating_sub(millis) / 1000).max(0)
    }

    /// Looks for the newest plan; whether the clock is behind it. From then on no slab stands in its window or an
    /// earlier one.
    ///
    /// # Errors
    /// [`BucketError`] if the spool cannot be listed: then nothing has changed.
    pub async fn look(&self, spool: &dyn Bucket, names: &SpoolNames) -> Result<bool, BucketError> {
        let now = BatchTime::of_clock(self.clock.millis());
        let since = now.plus_minutes(-LOOK_BACK_MINUTES).unwrap_or(now);
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
        let next = aligned_window(newest, self.minutes).map_or(newest.millis(), |window| window.end().millis());
        self.floor.fetch_max(next, Ordering::SeqCst);
        let behind = self.clock.millis() < next;
        self.behind.store(behind, Ordering::SeqCst);
        Ok(behind)
    }
}
