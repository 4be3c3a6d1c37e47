//! A slab in memory while it fills: encoded reports, and the requests that wait for them.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use tallybox_model::avro::{AvroError, ContainerWriter, Record as _, RecordKind};
use tallybox_model::report::{ReportUpload, StoredReport};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::metrics::ReportCounters;

/// Most bytes of a stored report in addition to its strings and byte strings.
const FIXED_BYTES: u64 = 64;

/// Approximate size of a piece, and initial capacity of the first piece, in bytes.
const PIECE_BYTES: usize = 256 << 10;
const FIRST_BYTES: usize = 16 << 10;

/// An accepted report, to be stored.
#[derive(Debug)]
pub struct AcceptedReport {
    /// The report as uploaded, without its attestation.
    pub upload: ReportUpload,
    /// The canonical spelling of its id.
    pub id: String,
    /// The entry for the cache of accepted reports.
    pub dedup_entry: DedupEntry,
}

/// A dedup entry: the hashes under which the cache of accepted reports finds a report.
#[derive(Debug, Clone)]
pub struct DedupEntry {
    /// Hash of the report's id.
    pub id: u64,
    /// Hash of the report's bytes.
    pub digest: u64,
    /// Hash of metric, day and attested key, if the report is attested.
    pub attested: Option<u64>,
    /// The counters of the report's metric.
    pub counters: Arc<ReportCounters>,
}

/// A receiver of outcomes, which is notified before the clients are answered.
pub trait DurabilityObserver: Send + Sync + std::fmt::Debug {
    /// Records that these reports are durable.
    fn record_durable(&self, entries: &[DedupEntry]);

    /// Records that these reports could not be made durable. Their slab may nevertheless be in the
    /// spool.
    fn record_lost(&self, entries: &[DedupEntry]);
}

/// The outcome of a write request, for all of its reports together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The reports are durable.
    Durable,
    /// The reports could not be made durable. Their slab may nevertheless be in the spool.
    Unavailable,
}

/// A write request: reports that go into one slab together.
pub(super) struct WriteRequest {
    pub(super) reports: Vec<AcceptedReport>,
    pub(super) answer: oneshot::Sender<WriteOutcome>,
    /// Memory that is held until the reports are written, even if no request waits for the answer.
    pub(super) hold: Arc<dyn Any + Send + Sync>,
}

/// A slab that accepts reports.
pub(super) struct OpenSlab {
    /// Encoded reports in pieces. A single growing buffer would need twice the memory while it is
    /// copied.
    pieces: Vec<Bytes>,
    records: ContainerWriter<Vec<u8>>,
    /// Hash of the pieces. Each piece is hashed once, when it is full.
    hash: Sha256,
    bytes: u64,
    pub(super) opened_at: Instant,
    waiting: Waiting,
}

/// A slab that accepts no more reports.
pub(super) struct ClosedSlab {
    pub(super) pieces: Vec<Bytes>,
    /// Length of the pieces together.
    pub(super) bytes: u64,
    /// SHA-256 of the pieces together.
    pub(super) digest: [u8; 32],
}

/// The requests that wait for a slab, with their dedup entries and memory.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) entries: Vec<DedupEntry>,
    answers: Vec<oneshot::Sender<WriteOutcome>>,
    holds: Vec<Arc<dyn Any + Send + Sync>>,
}

impl OpenSlab {
    pub(super) fn new() -> Self {
        let mut marker = [0; 16];
        rand::rng().fill_bytes(&mut marker);
        Self {
            pieces: Vec::new(),
            records: ContainerWriter::new(
                Vec::with_capacity(FIRST_BYTES),
                RecordKind::StoredReport,
                marker,
            ),
            hash: Sha256::new(),
            bytes: 0,
            opened_at: Instant::now(),
            waiting: Waiting::default(),
        }
    }

    /// Adds a write request. An error is a bug in this program. The slab is unusable then; dropping
    /// it notifies the requests that wait for it.
    pub(super) fn add(&mut self, request: WriteRequest) -> Result<(), AvroError> {
        for AcceptedReport {
            upload,
            id,
            dedup_entry: entry,
        } in request.reports
        {
            let stored = StoredReport::from_upload(&upload, &id);
            self.records.append(&stored)?;
            self.bytes += stored.variable_bytes() + FIXED_BYTES;
            self.waiting.entries.push(entry);
            let encoded = self.records.get_mut();
            if encoded.len() >= PIECE_BYTES {
                let next = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
                self.hash.update(&encoded);
                self.pieces.push(std::mem::replace(encoded, next).into());
            }
        }
        self.waiting.answers.push(request.answer);
        self.waiting.holds.push(request.hold);
        Ok(())
    }

    /// Returns the approximate size of the records, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the bytes of the slab, and the requests that wait for it.
    pub(super) fn close(mut self) -> Result<(ClosedSlab, Waiting), AvroError> {
        let last = self.records.finish()?;
        self.hash.update(&last);
        self.pieces.push(last.into());
        let slab = ClosedSlab {
            bytes: self.pieces.iter().map(|piece| piece.len() as u64).sum(),
            pieces: self.pieces,
            digest: self.hash.finalize().into(),
        };
        Ok((slab, self.waiting))
    }
}

impl Waiting {
    /// Notifies the observer, then the waiting requests. A request that has been cancelled is not
    /// an error.
    pub(super) fn notify(self, observer: &dyn DurabilityObserver, outcome: WriteOutcome) {
        match outcome {
            WriteOutcome::Durable => observer.record_durable(&self.entries),
            WriteOutcome::Unavailable => observer.record_lost(&self.entries),
        }
        for answer in self.answers {
            let _ = answer.send(outcome);
        }
    }
}
