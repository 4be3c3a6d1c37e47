//! Counters of one locality, or of one of its metrics.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tallybox_model::report::ProblemKind;

/// The counters of one metric of a locality.
#[derive(Clone, Debug)]
pub struct ReportCounters {
    /// Reports that were parsed.
    pub received: Counter,
    /// Reports made durable.
    pub accepted: Counter,
    /// Reports that were durable already.
    pub already_accepted: Counter,
    pub(super) rejected: Vec<Counter>,
}

/// The counters of a locality's spool.
#[derive(Clone, Debug)]
pub struct SlabCounters {
    /// Slabs made durable.
    pub slabs: Counter,
    /// Bytes of slabs made durable.
    pub bytes: Counter,
    /// Writes that failed.
    pub failures: Counter,
    /// Slabs that became durable too late for their window, and were written again.
    pub late: Counter,
    /// Scans that found the clock behind the newest plan.
    pub clock_behind: Counter,
    /// Seconds since the end of the oldest window whose reports are not batched.
    pub batching_behind: Gauge,
}

/// The counters of a locality's windows that the server itself has batched.
#[derive(Clone, Debug)]
pub struct BatchCounters {
    /// Windows completed.
    pub windows: Counter,
    /// Runs that failed.
    pub failures: Counter,
    /// Reports whose id another report has as well. They are batched.
    pub conflicts: Counter,
    /// Packets in batches.
    pub batched: Counter,
    /// Reports dropped because they had occurred before.
    pub replayed_reports: Counter,
    /// Reports dropped because one of their ciphertexts had occurred before.
    pub replayed_ciphertexts: Counter,
    /// Reports carried over to the next window. A report counts each time.
    pub carried: Counter,
    /// Reports dropped because they were too few for too many windows.
    pub dropped: Counter,
    /// Reports dropped because their packet keys belong to another number of bins.
    pub other_bins: Counter,
}

impl ReportCounters {
    /// Counts a rejection.
    pub fn reject(&self, kind: ProblemKind) {
        if let Some(counter) = self.rejected.get(kind as usize) {
            counter.inc();
        }
    }
}
