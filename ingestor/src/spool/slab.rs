//! One slab while it fills: reports encoded one after another, and who waits for them.

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

/// Bytes of a stored report beside its strings and byte strings, at most.
const FIXED_BYTES: u64 = 64;

/// Bytes of a piece, about, and of the first to begin with.
const PIECE_BYTES: usize = 256 << 10;
const FIRST_BYTES: usize = 16 << 10;

/// A report to be kept.
#[derive(Debug)]
pub struct Kept {
    /// What was uploaded, without its attestation.
    pub upload: ReportUpload,
    /// The canonical spelling of its id.
    pub id: String,
    /// What is remembered of it once it is durable.
    pub receipt: Receipt,
}

/// What is remembered of a report.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// Stands for its id.
    pub id: u64,
    /// Stands for its bytes.
    pub digest: u64,
    /// Stands for its metric, day and attested key, if it was attested.
    pub attested: Option<u64>,
    /// Where it is counted.
    pub counters: Arc<ReportCounters>,
}

/// Something that is told what became of reports, before anybody is answered.
pub trait Ledger: Send + Sync + std::fmt::Debug {
    /// These are durable.
    fn durable(&self, receipts: &[Receipt]);

    /// These could not be made durable, as far as is known.
    fn lost(&self, receipts: &[Receipt]);
}

/// What became of a deposit, all of it together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deposited {
    /// It is durable.
    Durable,
    /// It is not, as far as is known.
    Unavailable,
}

/// Reports that go into one slab together.
pub(super) struct Deposit {
    pub(super) reports: Vec<Kept>,
    pub(super) answer: oneshot::Sender<Deposited>,
    /// Held until they are written, whoever still waits for the answer.
    pub(super) hold: Arc<dyn Any + Send + Sync>,
}

/// A slab that takes reports.
pub(super) struct OpenSlab {
    /// What is encoded, in pieces: one buffer that grew would be twice as large for a while.
    pieces: Vec<Bytes>,
    records: ContainerWriter<Vec<u8>>,
    /// Of the pieces: each is hashed once, when it is full.
    hash: Sha256,
    bytes: u64,
    pub(super) begun: Instant,
    waiting: Waiting,
}

/// A slab that takes no more.
pub(super) struct ClosedSlab {
    pub(super) pieces: Vec<Bytes>,
    /// Length of the pieces together.
    pub(super) bytes: u64,
    /// SHA-256 of the pieces together.
    pub(super) digest: [u8; 32],
}

/// Who waits for a slab, and for what.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) receipts: Vec<Receipt>,
    answers: Vec<oneshot::Sender<Deposited>>,
    holds: Vec<Arc<dyn Any + Send + Sync>>,
}

impl OpenSlab {
    pub(super) fn new() -> Self {
        let mut marker = [0; 16];
        rand::rng().fill_bytes(&mut marker);
        Self {
            pieces: Vec::new(),
            records: ContainerWriter::new(Vec::with_capacity(FIRST_BYTES), RecordKind::StoredReport, marker),
            hash: Sha256::new(),
            bytes: 0,
            begun: Instant::now(),
            waiting: Waiting::default(),
        }
    }

    /// Adds a deposit. After an error, a bug of ours, the slab cannot be used: whoever waits for it is told so by
    /// dropping it.
    pub(super) fn add(&mut self, deposit: Deposit) -> Result<(), AvroError> {
        for Kept { upload, id, receipt } in deposit.reports {
            let stored = StoredReport::of(&upload, &id);
            self.records.append(&stored)?;
            self.bytes += stored.variable_bytes() + FIXED_BYTES;
            self.waiting.receipts.push(receipt);
            let encoded = self.records.get_mut();
            if encoded.len() >= PIECE_BYTES {
                let next = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
                self.hash.update(&encoded);
                self.pieces.push(std::mem::replace(encoded, next).into());
            }
        }
        self.waiting.answers.push(deposit.answer);
        self.waiting.holds.push(deposit.hold);
        Ok(())
    }

    /// Bytes of its records, about.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes of the slab, and who waits for it.
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
    /// Tells the ledger, then everybody who waits; who has gone away is no fault.
    pub(super) fn settle(self, ledger: &dyn Ledger, outcome: Deposited) {
        match outcome {
            Deposited::Durable => ledger.durable(&self.receipts),
            Deposited::Unavailable => ledger.lost(&self.receipts),
        }
        for answer in self.answers {
            let _ = answer.send(outcome);
        }
    }
}
