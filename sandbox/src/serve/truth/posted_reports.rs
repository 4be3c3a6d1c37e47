//! The posted reports: in memory, and as lines of `ledger.jsonl` for later analysis. The
//! sandbox's parent process owns it, because that process is never killed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tallybox_client::traffic::GeneratedAnswer;
use tallybox_model::id::{AggregationId, BatchId, PacketId};
use tallybox_model::time::Window;

use crate::error::Error;
use crate::exactly_once::Occurrences;

/// A posted report.
#[derive(Debug, Clone)]
pub(crate) struct PostedReport {
    /// The answer, and the bins that were shared.
    pub(super) answer: GeneratedAnswer,
    /// True if the report is valid and must be counted.
    pub(super) honest: bool,
    /// True if the ingestor has acknowledged it.
    pub(super) acknowledged: bool,
    /// True if the ingestor has refused it.
    refused: bool,
    /// The batch that contains it.
    pub(super) batch: Option<BatchId>,
    /// The window in which it is counted.
    pub(super) counted: Option<Window>,
}

/// A report that is about to be posted.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    /// Its metric.
    pub(crate) metric: AggregationId,
    /// The answer, and the bins that are shared.
    pub(crate) answer: GeneratedAnswer,
    /// True if the report is valid.
    pub(crate) honest: bool,
    /// The id that the client gave it.
    pub(crate) id: String,
    /// The packet id that the processors use for it.
    pub(crate) packet: PacketId,
}

/// Number of reports of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReportCounts {
    /// Honest reports that the sandbox posted.
    pub posted: u64,
    /// Honest reports that were acknowledged.
    pub acknowledged: u64,
    /// Honest reports that were refused.
    pub refused: u64,
    /// Honest reports that are in a batch.
    pub batched: u64,
    /// Honest reports that are in a sum.
    pub counted: u64,
    /// Hostile reports that the sandbox posted.
    pub hostile: u64,
    /// Posts of a report that had been posted before, unchanged or under another id.
    pub repeated: u64,
    /// Reports of other clients that the ingestor has stored.
    pub foreign: u64,
    /// Reports of other clients that are in a batch.
    pub foreign_batched: u64,
    /// Reports of other clients that are in a sum.
    pub foreign_counted: u64,
}

impl ReportCounts {
    /// Returns the number of reports that the ingestor has stored, of all clients.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.acknowledged + self.foreign
    }

    /// Returns the number of reports in a batch, of all clients.
    #[must_use]
    pub fn in_batches(&self) -> u64 {
        self.batched + self.foreign_batched
    }

    /// Returns the number of reports in a sum, of all clients.
    #[must_use]
    pub fn in_sums(&self) -> u64 {
        self.counted + self.foreign_counted
    }
}

/// The progress of a report of another client.
#[derive(Debug, Clone, Copy, Default)]
struct ForeignReport {
    batched: bool,
    counted: bool,
}

/// The posted reports and their status.
#[derive(Debug, Default)]
pub(crate) struct PostedReports {
    pub(super) entries: Vec<PostedReport>,
    /// Index of the reports by packet id. A report that was also posted under other ids has several
    /// entries.
    packets: HashMap<PacketId, usize>,
    /// Reports of other clients, by packet id.
    foreign: HashMap<PacketId, ForeignReport>,
    counts: ReportCounts,
    journal: Option<BufWriter<File>>,
}

/// The posted reports, to which several tasks write.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedPostedReports(Arc<Mutex<PostedReports>>);

impl SharedPostedReports {
    /// Creates an empty list of posted reports that is also written to a file.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::file(path))?;
        let posted_reports = PostedReports {
            journal: Some(BufWriter::new(file)),
            ..PostedReports::default()
        };
        Ok(Self(Arc::new(Mutex::new(posted_reports))))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, PostedReports> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PostedReports {
    /// Records a report before it is posted, and returns its number.
    pub(crate) fn post(&mut self, posted: Posted) -> usize {
        let number = self.entries.len();
        let Posted {
            metric,
            answer,
            honest,
            ..
        } = posted;
        self.write(&json!({
            "report": number, "posted": posted.id, "metric": metric, "packet": posted.packet.to_string(), "honest": honest,
        }));
        if honest {
            self.counts.posted += 1;
        } else {
            self.counts.hostile += 1;
        }
        self.packets.insert(posted.packet, number);
        self.entries.push(PostedReport {
            answer,
            honest,
            acknowledged: false,
            refused: false,
            batch: None,
            counted: None,
        });
        number
    }

    /// Records that a report is posted again, with the packet id of the copy if the id differs. It
    /// must be counted once.
    pub(crate) fn repeat(&mut self, number: usize, other: Option<PacketId>) {
        self.counts.repeated += 1;
        if let Some(packet) = other {
            self.packets.insert(packet, number);
            self.write(&json!({ "report": number, "copied": packet.to_string() }));
        }
    }

    /// Records that the ingestor acknowledged the report.
    pub(crate) fn acknowledge(&mut self, number: usize) {
        let Some(report) = self.entries.get_mut(number) else {
            return;
        };
        if !std::mem::replace(&mut report.acknowledged, true) {
            self.counts.acknowledged += u64::from(report.honest);
            self.write(&json!({ "report": number, "acknowledged": true }));
        }
    }

    /// Records that the ingestor refused the report. Returns true if that was expected, since the
    /// report is hostile.
    pub(crate) fn refuse(&mut self, number: usize, reason: &str) -> bool {
        let Some(report) = self.entries.get_mut(number) else {
            return false;
        };
        let honest = report.honest;
        if !std::mem::replace(&mut report.refused, true) {
            self.counts.refused += u64::from(honest);
            self.write(&json!({ "report": number, "refused": reason }));
        }
        !honest
    }

    /// Returns the number of the sandbox's report with this packet id.
    pub(super) fn find_report(&self, packet: PacketId) -> Option<usize> {
        self.packets.get(&packet).copied()
    }

    /// Records that a report is in the spool. A report that the sandbox did not post belongs to
    /// another client.
    pub(crate) fn spooled(&mut self, packet: PacketId) {
        self.foreign(packet);
    }

    /// Records that a report is in a batch. Returns true if it belongs to another client.
    pub(super) fn batched(&mut self, packet: PacketId, batch: BatchId) -> bool {
        if let Some(number) = self.find_report(packet) {
            self.batch(number, batch);
            return false;
        }
        if let Some(foreign) = self.foreign(packet)
            && !std::mem::replace(&mut foreign.batched, true)
        {
            self.counts.foreign_batched += 1;
        }
        true
    }

    /// Records that a report of another client is in a sum.
    pub(super) fn count_foreign(&mut self, packet: PacketId) {
        if let Some(foreign) = self.foreign(packet)
            && !std::mem::replace(&mut foreign.counted, true)
        {
            self.counts.foreign_counted += 1;
        }
    }

    /// Returns the entry of another client's report, creating it if necessary; `None` for the
    /// sandbox's own.
    fn foreign(&mut self, packet: PacketId) -> Option<&mut ForeignReport> {
        if self.packets.contains_key(&packet) {
            return None;
        }
        Some(self.foreign.entry(packet).or_insert_with(|| {
            self.counts.foreign += 1;
            ForeignReport::default()
        }))
    }

    /// Records the batch of the sandbox's report `number`.
    pub(super) fn batch(&mut self, number: usize, batch: BatchId) {
        let Some(report) = self.entries.get_mut(number) else {
            return;
        };
        if report.batch.replace(batch).is_none() {
            self.counts.batched += u64::from(report.honest);
        }
        self.write(&json!({ "report": number, "batch": batch.to_string() }));
    }

    /// Records the window that counts the report. Returns the window that had counted it before, if
    /// any.
    pub(super) fn count(&mut self, number: usize, window: Window) -> Option<Window> {
        let report = self.entries.get_mut(number)?;
        let before = report.counted;
        if before.is_none() {
            report.counted = Some(window);
            self.counts.counted += u64::from(report.honest);
        }
        self.write(&json!({ "report": number, "counted": window }));
        before
    }

    /// Compares the honest reports that are in sums with those that were acknowledged.
    pub(super) fn compare_sums(&self) -> Occurrences<usize> {
        let numbers = |is_selected: fn(&PostedReport) -> bool| {
            let entries = self.entries.iter().enumerate();
            entries
                .filter(move |(_, report)| report.honest && is_selected(report))
                .map(|(number, _)| number)
        };
        let acknowledged = numbers(|report| report.acknowledged).collect();
        let posted = numbers(|_| true).collect();
        let counted = numbers(|report| report.counted.is_some());
        Occurrences::count(&acknowledged, &posted, counted)
    }

    /// Returns the counts.
    pub(crate) fn counts(&self) -> ReportCounts {
        self.counts
    }

    /// Appends a line to the file. After a write error the file is abandoned, so that a full disk
    /// does not end the run.
    fn write(&mut self, line: &Value) {
        if let Some(journal) = &mut self.journal
            && writeln!(journal, "{line}").is_err()
        {
            self.journal = None;
        }
    }

    /// Flushes buffered lines to the file.
    pub(crate) fn flush(&mut self) {
        if let Some(journal) = &mut self.journal {
            let _ = journal.flush();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn posted(honest: bool, packet: u8) -> Posted {
        Posted {
            metric: "a".parse().unwrap(),
            answer: GeneratedAnswer {
                true_bits: vec![true],
                noisy_bits: vec![true],
            },
            honest,
            id: format!("id-{packet}"),
            packet: PacketId::from_bytes([packet; 16]),
        }
    }

    #[test]
    fn a_report_counts_once_under_all_its_ids() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.jsonl");
        let shared = SharedPostedReports::create(&path).unwrap();
        let mut posted_reports = shared.lock();
        let number = posted_reports.post(posted(true, 1));
        let bad = posted_reports.post(posted(false, 2));
        posted_reports.repeat(number, Some(PacketId::from_bytes([3; 16])));
        for _ in 0..2 {
            posted_reports.acknowledge(number);
            posted_reports.acknowledge(bad);
        }
        assert_eq!(
            posted_reports.find_report(PacketId::from_bytes([3; 16])),
            Some(number)
        );
        assert!(posted_reports.refuse(bad, "conflict"));
        let time = |text: &str| text.parse().unwrap();
        let window = Window::new(time("2026/01/01/00/00"), time("2026/01/01/01/00")).unwrap();
        assert_eq!(posted_reports.count(number, window), None);
        assert_eq!(
            posted_reports.count(number, window),
            Some(window),
            "the second count is reported"
        );
        let counts = posted_reports.counts();
        let expected = ReportCounts {
            posted: 1,
            acknowledged: 1,
            counted: 1,
            hostile: 1,
            repeated: 1,
            ..ReportCounts::default()
        };
        assert_eq!(counts, expected);
        posted_reports.flush();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 8, "{text}");
    }
}
