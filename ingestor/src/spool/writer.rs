//! Writes a slab to the spool, in a window that is still open, or reports that this failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use tallybox_model::cause::chain;
use tallybox_model::spool::{SlabName, SpoolNames};
use tallybox_transport::{BucketError, Created, Records, SharedBucket};
use tokio::time::{Instant, sleep, timeout_at};

use super::slab::ClosedSlab;
use super::windows::Windows;
use crate::metrics::{Metrics, SlabCounters};

/// First pause after a failed write; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The writer of one locality's slabs.
#[derive(Debug)]
pub(super) struct SlabWriter {
    pub(super) spool: SharedBucket,
    pub(super) records: Records,
    pub(super) names: SpoolNames,
    pub(super) windows: Arc<Windows>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) counters: SlabCounters,
    /// Random number of this process, which keeps the names of replicas' slabs apart.
    pub(super) replica: u64,
    pub(super) next: AtomicU64,
    /// True if the last write failed.
    pub(super) failing: AtomicBool,
}

/// A slab could not be made durable in time.
#[derive(Debug)]
pub(super) struct NotDurable;

impl SlabWriter {
    /// Makes the slab durable before the deadline. Each attempt uses a new object name, since an
    /// attempt that seems to have failed may have created its object. A second copy is harmless:
    /// the batcher counts each report once.
    pub(super) async fn write(
        &self,
        slab: &ClosedSlab,
        deadline: Instant,
    ) -> Result<(), NotDurable> {
        let mut delay = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let attempt = timeout_at(deadline, self.attempt(slab)).await;
            self.metrics
                .slab_seconds
                .observe(begun.elapsed().as_secs_f64());
            let failed = match attempt {
                Ok(Ok(true)) => return Ok(()),
                // The slab is durable, but too late for its window: it is written again at once, in
                // the next window.
                Ok(Ok(false)) if Instant::now() < deadline => continue,
                Ok(Ok(false)) => return Err(NotDurable),
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            self.count_failure(failed.as_ref());
            let wait = delay.mul_f64(rand::rng().random_range(0.5..1.0));
            if failed.is_none() || Instant::now() + wait >= deadline {
                return Err(NotDurable);
            }
            sleep(wait).await;
            delay = (2 * delay).min(LONGEST_PAUSE);
        }
    }

    /// Writes one object. Returns `false` if the object was durable only after its window could be
    /// planned.
    async fn attempt(&self, slab: &ClosedSlab) -> Result<bool, WriteError> {
        let window = self.windows.present().ok_or(WriteError::NoWindow)?;
        let name = SlabName::Received {
            window: window.start(),
            replica: self.replica,
            number: self.next.fetch_add(1, Ordering::SeqCst),
        };
        let key = self.names.slab(&name);
        let trailer = self.records.trailer(&key, &slab.digest, slab.bytes);
        let size = slab.bytes + trailer.len() as u64;
        let mut upload = self.spool.create(&key, Some(size)).await?;
        for piece in slab.pieces.iter().chain([&trailer]) {
            if let Err(error) = upload.write(piece.clone()).await {
                upload.abort().await;
                return Err(error.into());
            }
        }
        // Every attempt has a new name, so the existing object is not this slab.
        if upload.commit().await? == Created::Exists {
            return Err(WriteError::NameTaken);
        }
        self.failing.store(false, Ordering::SeqCst);
        self.counters.slabs.inc();
        self.counters.bytes.inc_by(size);
        if self.windows.is_too_late(window) {
            self.counters.late.inc();
            tracing::warn!(object_key = key, "slab was durable too late for its window");
            return Ok(false);
        }
        Ok(true)
    }

    fn count_failure(&self, error: Option<&WriteError>) {
        self.failing.store(true, Ordering::SeqCst);
        self.counters.failures.inc();
        let instance = self.names.instance();
        match error {
            Some(error) => {
                let error = chain(error);
                tracing::warn!(%instance, error, "cannot write a slab");
            }
            None => tracing::warn!(%instance, "writing a slab timed out"),
        }
    }
}

/// The error of an attempt.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error("another object has the name of the slab")]
    NameTaken,
    #[error("the clock shows a time outside the range of windows")]
    NoWindow,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::TryStreamExt as _;
    use tallybox_service::clock::Clock;
    use tallybox_transport::faults::{FaultKind, Faults, Phantoms};
    use tallybox_transport::{ListRange, RecordKey, memory};
    use zeroize::Zeroizing;

    use super::*;
    use crate::config::BatchConfig;
    use crate::spool::slab::OpenSlab;

    const NOW: i64 = 1_795_428_900_000;

    fn writer(spool: &SharedBucket, clock: Clock) -> SlabWriter {
        let metrics = Arc::new(Metrics::new());
        SlabWriter {
            spool: Arc::clone(spool),
            records: Records::new(RecordKey::from_bytes(Zeroizing::new([7; 32])), [], &[]),
            names: SpoolNames::new("us-xx-ingestor".parse().unwrap()),
            windows: Arc::new(Windows::new(clock, &BatchConfig::default())),
            counters: metrics.slabs("us-xx"),
            metrics,
            replica: 7,
            next: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slab_whose_name_is_taken_is_not_durable() {
        let (slab, _) = OpenSlab::new().close().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        for (phantoms, good) in [(1, true), (u64::MAX, false)] {
            let inner = memory("spool");
            let names = AtomicU64::new(0);
            let spool = Phantoms::wrap(inner.clone(), move |_| {
                names.fetch_add(1, Ordering::SeqCst) < phantoms
            });
            let writer = writer(&spool, Clock::manual(NOW));
            assert_eq!(writer.write(&slab, deadline).await.is_ok(), good);
            let listed = inner.list("", ListRange::default()).await.unwrap();
            let objects: Vec<_> = listed.try_collect().await.unwrap();
            assert_eq!(objects.len(), usize::from(good));
            assert_eq!(writer.counters.slabs.get(), u64::from(good));
            assert!(writer.counters.failures.get() >= 1);
            assert_eq!(writer.failing.load(Ordering::SeqCst), !good);
        }
    }

    /// The window passes while its slab is written.
    #[tokio::test(start_paused = true)]
    async fn a_slab_that_is_late_is_written_again_before_the_deadline_only() {
        let (slab, _) = OpenSlab::new().close().unwrap();
        for (seconds, objects) in [(10, 2), (0, 1)] {
            let inner = memory("spool");
            let clock = Clock::manual(NOW);
            let passing = clock.clone();
            let spool: SharedBucket = Phantoms::wrap(inner.clone(), move |_| {
                passing.set(NOW + 2 * 3_600_000);
                false
            });
            let writer = writer(&spool, clock);
            let deadline = Instant::now() + Duration::from_secs(seconds);
            let written = writer.write(&slab, deadline).await;
            assert_eq!(written.is_ok(), seconds > 0);
            assert_eq!(writer.counters.late.get(), 1);
            let listed = inner.list("", ListRange::default()).await.unwrap();
            let sizes: Vec<u64> = listed
                .map_ok(|entry| entry.size)
                .try_collect()
                .await
                .unwrap();
            assert_eq!(sizes.len(), objects);
            assert_eq!(writer.counters.bytes.get(), sizes.iter().sum::<u64>());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_would_end_after_the_deadline_is_not_made() {
        let (slab, _) = OpenSlab::new().close().unwrap();
        // The first pause has at least half of its length.
        for (time, good) in [(FIRST_PAUSE / 4, false), (2 * FIRST_PAUSE, true)] {
            let spool = Faults::new(1, FaultKind::Fail).wrap(memory("spool"));
            let begun = Instant::now();
            let writer = writer(&spool, Clock::manual(NOW));
            assert_eq!(writer.write(&slab, begun + time).await.is_ok(), good);
            assert_eq!(begun.elapsed() > Duration::ZERO, good);
        }
    }
}
