//! What a run of the batcher did, for people and machines.

use std::fmt;

use serde::{Deserialize, Serialize};
use tallybox_model::id::Instance;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;
use tallybox_transport::Published;

use super::publish::Put;
use super::record::WindowBatch;
use super::replay::ReplayCounts;

/// What a run did for one locality.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BatchSummary {
    /// Locality and ingestor.
    pub instance: Instance,
    /// The windows that were ended, oldest first.
    pub windows: Vec<WindowSummary>,
    /// The window that waits for other jobs, and which partitions they still have to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<(BatchTime, Vec<u32>)>,
    /// Objects deleted from the spool since nothing needs them any more.
    pub deleted: u64,
}

/// What became of the reports of one window: reports = batched + replays + carried + dropped +
/// other-bins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WindowSummary {
    /// The window.
    pub window: Window,
    /// Reports in its slabs.
    pub reports: u64,
    /// Packets in batches.
    pub batched: u64,
    /// Replays dropped, conflicts noticed.
    pub replays: ReplayCounts,
    /// Too few for a batch, waiting for the next window.
    pub carried: u64,
    /// Too few for too long.
    pub dropped: u64,
    /// Dropped, since their packet keys belong to another number of bins.
    pub other_bins: u64,
    /// The batches.
    pub batches: Vec<WindowBatch>,
}

impl BatchSummary {
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

/// What came of writing batches of a window again.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RedeliverySummary {
    /// Locality and ingestor.
    pub instance: Instance,
    /// The start of the window.
    pub window: BatchTime,
    /// Batches that were put again.
    pub batches: u64,
    /// Objects that a mailbox did not hold, and holds now.
    pub objects_written: u64,
    /// Objects that were there and have been read: they are the same.
    pub objects_present: u64,
    /// Objects that a mailbox says to hold, and that we may not read.
    pub objects_said_to_exist: u64,
}

impl RedeliverySummary {
    pub(super) fn new(instance: &Instance, window: BatchTime) -> Self {
        Self {
            instance: instance.clone(),
            window,
            batches: 0,
            objects_written: 0,
            objects_present: 0,
            objects_said_to_exist: 0,
        }
    }

    pub(super) fn add(&mut self, batches: usize, put: &[Put]) {
        self.batches += batches as u64;
        for Put { published, .. } in put {
            let count = match published {
                Published::New => &mut self.objects_written,
                Published::Same => &mut self.objects_present,
                Published::Assumed => &mut self.objects_said_to_exist,
            };
            *count += 1;
        }
    }
}

impl Summary for RedeliverySummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: window {}, {} batches: {} objects written, {} there with the same bytes, {} said to exist",
            self.instance,
            self.window,
            grouped(self.batches),
            grouped(self.objects_written),
            grouped(self.objects_present),
            grouped(self.objects_said_to_exist)
        )
    }
}

impl Summary for BatchSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.instance)?;
        match self.windows.len() {
            0 => f.write_str("no window to end")?,
            1 => f.write_str("1 window ended")?,
            count => write!(f, "{count} windows ended")?,
        }
        for window in &self.windows {
            write!(f, "\n  {window}")?;
        }
        if let Some((window, partitions)) = &self.waiting {
            let count = partitions.len();
            write!(f, "\n  {window} waits for {count} partitions that other jobs write")?;
        }
        if self.deleted > 0 {
            write!(
                f,
                "\n  {} objects deleted that nothing needs any more",
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
            (self.replays.conflicts, "with another's id (batched)"),
            (self.carried, "too few, carried"),
            (self.dropped, "too few for too long, dropped"),
            (self.other_bins, "under keys of other bins, dropped"),
        ] {
            if count > 0 {
                write!(f, ", {} {what}", grouped(count))?;
            }
        }
        Ok(())
    }
}
