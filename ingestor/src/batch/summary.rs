//! Summaries of batcher runs, for people and machines.

use std::fmt;

use serde::{Deserialize, Serialize};
use tallybox_model::id::Instance;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;
use tallybox_transport::Published;

use super::publish::WrittenObject;
use super::record::WindowBatch;
use super::replay::ReplayCounts;

/// The summary of a run for one locality.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BatcherSummary {
    /// Locality and ingestor.
    pub instance: Instance,
    /// Windows that the run completed, oldest first.
    pub windows: Vec<WindowSummary>,
    /// The window that waits for other jobs, and the partitions that they still have to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<(BatchTime, Vec<u32>)>,
    /// Number of objects pruned from the spool.
    pub deleted: u64,
}

/// Counts for the reports of one window: reports = batched + replays + carried + dropped +
/// other-bins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WindowSummary {
    /// The window.
    pub window: Window,
    /// Reports in the slabs of the window.
    pub reports: u64,
    /// Packets in batches.
    pub batched: u64,
    /// Replays that were dropped, and conflicts that were counted.
    pub replays: ReplayCounts,
    /// Reports that are too few for a batch and are carried over to the next window.
    pub carried: u64,
    /// Reports that were dropped because they were too few for too many windows.
    pub dropped: u64,
    /// Reports that were dropped because their packet keys belong to another number of bins.
    pub other_bins: u64,
    /// The batches of the window.
    pub batches: Vec<WindowBatch>,
}

impl BatcherSummary {
    pub(super) fn new(instance: &Instance) -> Self {
        Self {
            instance: instance.clone(),
            windows: Vec::new(),
            waiting: None,
            deleted: 0,
        }
    }

    pub(super) fn wait_for(&mut self, window: BatchTime, partitions: Vec<u32>) {
        self.waiting = Some((window, partitions));
    }
}

/// The summary of writing a window's batches again.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RedeliverySummary {
    /// Locality and ingestor.
    pub instance: Instance,
    /// Start of the window.
    pub window: BatchTime,
    /// Batches that were processed.
    pub batches: u64,
    /// Objects that a mailbox did not hold and that were written.
    pub objects_written: u64,
    /// Objects that were read from a mailbox and have the same bytes.
    pub objects_present: u64,
    /// Objects that exist according to a mailbox that the ingestor may not read.
    #[serde(rename = "objects-said-to-exist")]
    pub objects_reported_to_exist: u64,
}

impl RedeliverySummary {
    pub(super) fn new(instance: &Instance, window: BatchTime) -> Self {
        Self {
            instance: instance.clone(),
            window,
            batches: 0,
            objects_written: 0,
            objects_present: 0,
            objects_reported_to_exist: 0,
        }
    }

    pub(super) fn add(&mut self, batches: usize, written: &[WrittenObject]) {
        self.batches += batches as u64;
        for WrittenObject { published, .. } in written {
            let count = match published {
                Published::New => &mut self.objects_written,
                Published::Same => &mut self.objects_present,
                Published::Assumed => &mut self.objects_reported_to_exist,
            };
            *count += 1;
        }
    }
}

impl Summary for RedeliverySummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: window {}, {} batches: {} objects written, {} present with the same bytes, {} reported to exist",
            self.instance,
            self.window,
            grouped(self.batches),
            grouped(self.objects_written),
            grouped(self.objects_present),
            grouped(self.objects_reported_to_exist)
        )
    }
}

impl Summary for BatcherSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.instance)?;
        match self.windows.len() {
            0 => f.write_str("no window is due")?,
            1 => f.write_str("1 window completed")?,
            count => write!(f, "{count} windows completed")?,
        }
        for window in &self.windows {
            write!(f, "\n  {window}")?;
        }
        if let Some((window, partitions)) = &self.waiting {
            let count = partitions.len();
            write!(
                f,
                "\n  {window} waits for {count} partitions of other jobs; run the command again"
            )?;
        }
        if self.deleted > 0 {
            write!(
                f,
                "\n  {} objects deleted from the spool",
                grouped(self.deleted)
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for WindowSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reports, batched) = (grouped(self.reports), grouped(self.batched));
        write!(
            f,
            "{}: {reports} reports, {batched} in {} batches",
            self.window,
            self.batches.len()
        )?;
        for (count, what) in [
            (self.replays.report, "repeated"),
            (self.replays.ciphertext, "with a share seen before"),
            (
                self.replays.conflicts,
                "with the id of another report (batched)",
            ),
            (self.carried, "too few for a batch, carried over"),
            (self.dropped, "too few for too many windows, dropped"),
            (
                self.other_bins,
                "under keys of another number of bins, dropped",
            ),
        ] {
            if count > 0 {
                write!(f, ", {} {what}", grouped(count))?;
            }
        }
        Ok(())
    }
}
