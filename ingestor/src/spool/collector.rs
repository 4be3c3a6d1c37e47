//! Groups the write requests of a locality into slabs. A slab is closed when it is old or large
//! enough. Only a few slabs are written at the same time, so a slow spool leads to larger slabs
//! instead of more of them.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tallybox_model::cause::chain;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::lag::oldest_open;
use super::slab::{AcceptedReport, DurabilityObserver, OpenSlab, WriteOutcome, WriteRequest};
use super::windows::Windows;
use super::writer::SlabWriter;
use crate::ingestor::{Ingestor, Locality};
use crate::metrics::Metrics;

/// Interval between scans for the newest plan.
const SCAN_INTERVAL: Duration = Duration::from_secs(60);
/// Longest time for a scan.
const SCAN_TIMEOUT: Duration = Duration::from_secs(20);
/// Most write requests taken from the inbox at a time.
const MAX_REQUESTS_AT_ONCE: usize = 128;

/// Collects the accepted reports of one locality and makes them durable.
#[derive(Debug)]
pub struct Collector {
    inbox: UnboundedSender<WriteRequest>,
    writer: Arc<SlabWriter>,
    plans_listed: Arc<AtomicBool>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// The state of a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectorState {
    /// True if the last slab could not be written.
    pub failing: bool,
    /// True if the plans in the spool have not been listed yet.
    pub blind: bool,
    /// True if the clock is behind the newest plan in the spool.
    pub clock_behind: bool,
}

/// The background task of a collector.
struct Grouping {
    writer: Arc<SlabWriter>,
    observer: Arc<dyn DurabilityObserver>,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
    slab_time: Duration,
    slab_bytes: u64,
    write_timeout: Duration,
}

impl Collector {
    /// Starts a collector for a locality: scans for the newest plan, then accepts write requests
    /// until [`close`](Self::close).
    pub async fn start(
        ingestor: &Ingestor,
        locality: &Locality,
        metrics: &Arc<Metrics>,
        observer: Arc<dyn DurabilityObserver>,
    ) -> Self {
        let writer = Arc::new(SlabWriter {
            spool: Arc::clone(&ingestor.spool),
            records: ingestor.records.clone(),
            names: locality.names.clone(),
            windows: Arc::new(Windows::new(ingestor.clock.clone(), &ingestor.batches)),
            metrics: Arc::clone(metrics),
            counters: metrics.slabs(&locality.name),
            replica: rand::random(),
            next: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        });
        let (inbox, requests) = unbounded_channel();
        let collector = Self {
            inbox,
            writer: Arc::clone(&writer),
            plans_listed: Arc::default(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let grouping = Grouping {
            writer,
            observer,
            slots: Arc::new(Semaphore::new(ingestor.serve.slabs_at_once)),
            tasks: collector.tasks.clone(),
            slab_time: Duration::from_millis(ingestor.serve.slab_millis),
            slab_bytes: ingestor.serve.slab_bytes,
            write_timeout: Duration::from_secs(ingestor.serve.request_secs),
        };
        scan_plans(&collector.writer, &collector.plans_listed).await;
        collector
            .tasks
            .spawn(grouping.run(requests, collector.closing.clone()));
        collector.watch_plans();
        collector
    }

    /// Queues reports that go into one slab together. `hold` is dropped when they are written or
    /// have failed, even if the receiver is gone.
    #[must_use]
    pub fn enqueue(
        &self,
        reports: Vec<AcceptedReport>,
        hold: Arc<dyn Any + Send + Sync>,
    ) -> oneshot::Receiver<WriteOutcome> {
        let (answer, wait) = oneshot::channel();
        // After `close` the request and its sender are dropped, and the receiver reports an error.
        let _ = self.inbox.send(WriteRequest {
            reports,
            answer,
            hold,
        });
        wait
    }

    /// Returns the state of the collector.
    #[must_use]
    pub fn state(&self) -> CollectorState {
        CollectorState {
            failing: self.writer.failing.load(Ordering::SeqCst),
            blind: !self.plans_listed.load(Ordering::SeqCst),
            clock_behind: self.writer.windows.is_behind(),
        }
    }

    /// Scans now for the newest plan and for the lag of batching. The collector also does so every
    /// minute.
    pub async fn refresh_windows(&self) {
        scan_plans(&self.writer, &self.plans_listed).await;
        measure_lag(&self.writer).await;
    }

    /// Accepts no more requests, writes the pending ones and ends.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn watch_plans(&self) {
        let (writer, plans_listed) = (Arc::clone(&self.writer), Arc::clone(&self.plans_listed));
        let watching = async move {
            let mut ticks = interval(SCAN_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick completes at once, and `start` has scanned already.
            ticks.tick().await;
            loop {
                ticks.tick().await;
                scan_plans(&writer, &plans_listed).await;
                measure_lag(&writer).await;
            }
        };
        self.tasks
            .spawn(self.closing.clone().run_until_cancelled_owned(watching));
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// Scans once for the newest plan. If the spool can be listed, `failing` is cleared: a replica that
/// receives no requests would otherwise never become ready again.
async fn scan_plans(writer: &SlabWriter, plans_listed: &AtomicBool) {
    let instance = writer.names.instance();
    let listing = writer.windows.refresh(writer.spool.as_ref(), &writer.names);
    match timeout(SCAN_TIMEOUT, listing).await {
        Ok(Ok(behind)) => {
            plans_listed.store(true, Ordering::SeqCst);
            writer.failing.store(false, Ordering::SeqCst);
            if behind {
                writer.counters.clock_behind.inc();
                tracing::error!(%instance, "the clock is behind the newest plan in the spool");
            }
        }
        Ok(Err(error)) => {
            let error = chain(&error);
            tracing::warn!(%instance, error, "cannot list the plans in the spool");
        }
        Err(_) => tracing::warn!(%instance, "listing the plans in the spool timed out"),
    }
}

/// Sets the metric of the time since the end of the oldest window whose reports are not batched.
async fn measure_lag(writer: &SlabWriter) {
    let (windows, instance) = (&writer.windows, writer.names.instance());
    let listing = oldest_open(writer.spool.as_ref(), &writer.names, windows.minutes());
    match timeout(SCAN_TIMEOUT, listing).await {
        Ok(Ok(open)) => {
            let seconds = open.map_or(0, |end| windows.seconds_since(end));
            writer.counters.batching_behind.set(seconds);
        }
        Ok(Err(error)) => {
            let error = chain(&error);
            tracing::warn!(%instance, error, "cannot list the windows that are not batched");
        }
        Err(_) => tracing::warn!(%instance, "listing the windows that are not batched timed out"),
    }
}

impl Grouping {
    async fn run(self, mut inbox: UnboundedReceiver<WriteRequest>, closing: CancellationToken) {
        let mut open: Option<OpenSlab> = None;
        let mut received = Vec::with_capacity(MAX_REQUESTS_AT_ONCE);
        let mut pending: VecDeque<WriteRequest> = VecDeque::new();
        let mut closed = false;
        loop {
            self.fill(&mut open, &mut pending);
            if let Some(slab) = open.as_ref() {
                let full = slab.bytes() >= self.slab_bytes;
                let due = slab.opened_at + self.slab_time;
                let ready = full || closed || due <= Instant::now();
                tokio::select! {
                    biased;
                    Ok(slot) = Arc::clone(&self.slots).acquire_owned(), if ready => {
                        if let Some(slab) = open.take() {
                            self.write(slab, slot);
                        }
                    }
                    count = inbox.recv_many(&mut received, MAX_REQUESTS_AT_ONCE), if !full && !closed => closed = count == 0,
                    () = sleep_until(due), if !ready => {}
                    () = closing.cancelled(), if !inbox.is_closed() => inbox.close(),
                }
            } else if closed {
                return;
            } else {
                tokio::select! {
                    count = inbox.recv_many(&mut received, MAX_REQUESTS_AT_ONCE) => closed = count == 0,
                    () = closing.cancelled(), if !inbox.is_closed() => inbox.close(),
                }
            }
            pending.extend(received.drain(..));
        }
    }

    /// Adds pending requests to the open slab, up to the size of a slab.
    fn fill(&self, open: &mut Option<OpenSlab>, pending: &mut VecDeque<WriteRequest>) {
        while !pending.is_empty()
            && open
                .as_ref()
                .is_none_or(|slab| slab.bytes() < self.slab_bytes)
        {
            let Some(request) = pending.pop_front() else {
                return;
            };
            if let Err(error) = open.get_or_insert_with(OpenSlab::new).add(request) {
                let error = chain(&error);
                tracing::error!(
                    error,
                    "a report cannot be encoded; the reports of its slab are not stored"
                );
                *open = None;
            }
        }
    }

    /// Writes a slab in its own task, and notifies all that wait for it.
    fn write(&self, slab: OpenSlab, slot: tokio::sync::OwnedSemaphorePermit) {
        let (writer, observer) = (Arc::clone(&self.writer), Arc::clone(&self.observer));
        let deadline = slab.opened_at + self.write_timeout;
        self.tasks.spawn(async move {
            let (slab, waiting) = match slab.close() {
                Ok(closed) => closed,
                Err(error) => {
                    let error = chain(&error);
                    tracing::error!(
                        error,
                        "a slab cannot be encoded; its reports are not stored"
                    );
                    return;
                }
            };
            let outcome = match writer.write(&slab, deadline).await {
                Ok(()) => WriteOutcome::Durable,
                Err(_) => WriteOutcome::Unavailable,
            };
            drop(slot);
            waiting.notify(observer.as_ref(), outcome);
        });
    }
}
