//! What is checked of a report before it is kept.
//!
//! In order: schema version, registry, parameters, id, time, keys, lengths, curve points, attestation, rates, replay.
//! Everything is best effort against abuse here; what counts once, the batcher decides.
//!
//! | file | holds |
//! |---|---|
//! | `table` | the registry's metrics as the door compares them, with their counters |
//! | `checks` | what can be said of a report by itself |
//! | `memory` | which reports were accepted lately, in bounded space |
//! | `rates` | reports a minute from one attested key |

mod checks;
mod memory;
mod rates;
mod table;

use std::sync::{Arc, PoisonError, RwLock};

use tallybox_model::report::{ProblemKind, ReportUpload, StoredReport};

use crate::ingestor::Ingestor;
use crate::metrics::{Metrics, ReportCounters};
use crate::spool::{Kept, Receipt};

pub use memory::Memory;
pub(crate) use rates::Rates;
pub(crate) use table::{Known, Table};

/// The door of one locality.
#[derive(Debug)]
pub struct Door {
    ingestor: Arc<Ingestor>,
    locality: String,
    metrics: Arc<Metrics>,
    memory: Arc<Memory>,
    keys: Arc<Rates>,
    table: RwLock<Arc<Table>>,
}

/// What the door says of a report.
#[derive(Debug)]
pub enum Verdict {
    /// It is good, and has to be made durable.
    Fresh(Box<Kept>),
    /// It is durable already.
    Before,
    /// It is not kept.
    Rejected(Rejection),
}

/// Why a report is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The problem.
    pub kind: ProblemKind,
    /// What is wrong with this report.
    pub detail: String,
}

impl Rejection {
    /// A problem, and what is wrong.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { kind, detail }
    }
}

impl Door {
    /// The door of a locality of the ingestor.
    pub(crate) fn new(
        ingestor: &Arc<Ingestor>,
        locality: &str,
        metrics: &Arc<Metrics>,
        memory: &Arc<Memory>,
        keys: &Arc<Rates>,
    ) -> Self {
        let table = Table::new(ingestor.registry.current(), locality, metrics);
        Self {
            ingestor: Arc::clone(ingestor),
            locality: locality.to_owned(),
            metrics: Arc::clone(metrics),
            memory: Arc::clone(memory),
            keys: Arc::clone(keys),
            table: RwLock::new(Arc::new(table)),
        }
    }

    /// The metrics in force. A body is checked against one table from its first report to its last.
    pub(crate) fn table(&self) -> Arc<Table> {
        let registry = self.ingestor.registry.current();
        // What is behind the lock is replaced as a whole.
        let table = Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner));
        if Arc::ptr_eq(table.registry(), &registry) {
            return table;
        }
        let fresh = Arc::new(Table::new(registry, &self.locality, &self.metrics));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        fresh
    }

    /// Checks a report and counts what becomes of it; what is fresh is counted when it is durable.
    pub(crate) fn check(&self, table: &Table, upload: ReportUpload, allowed: impl FnOnce() -> bool) -> Verdict {
        let known = table.metric(&upload.metric);
        let counters = known.map_or_else(|| table.unknown(), Known::counters);
        counters.received.inc();
        let verdict = self.judge(known, counters, upload, allowed);
        match verdict.unwrap_or_else(Verdict::Rejected) {
            Verdict::Before => {
                counters.already_accepted.inc();
                Verdict::Before
            }
            Verdict::Rejected(rejection) => {
                counters.reject(rejection.kind);
                Verdict::Rejected(rejection)
            }
            fresh @ Verdict::Fresh(_) => fresh,
        }
    }

    fn judge(
        &self,
        known: Option<&Known>,
        counters: &Arc<ReportCounters>,
        mut upload: ReportUpload,
        allowed: impl FnOnce() -> bool,
    ) -> Result<Verdict, Rejection> {
        let now = self.ingestor.clients_millis();
        let unknown = || Error::unknown_locality(&self.locality);
        let locality = self.ingestor.localities.get(&self.locality).ok_or_else(unknown)?;
        checks::schema_version(&upload)?;
        let known = checks::metric(known, &upload)?;
        checks::parameters(known, &upload)?;
        let id = checks::id(&upload)?;
        if let Some(created) = upload.created {
            self.metrics.created_skew.observe((now - created) as f64 / 1000.0);
            checks::created(created, now, &self.ingestor.acceptance)?;
        }
        checks::keys(known, &locality.key_pairs, &upload)?;
        checks::shares(known, &upload)?;
        let attested = checks::attestation(locality, &upload, now)?;
        // From here on nothing of it is needed, and nothing of it is kept.
        (upload.signature, upload.certificate_chain) = (None, Vec::new());
        if !allowed() {
            return Err(Rejection::new(
                ProblemKind::RateLimited,
                "this network sends more reports a minute than are taken",
            ));
        }
        if attested.as_ref().is_some_and(|attested| !self.keys.take(&attested.key)) {
            return Err(Rejection::new(
                ProblemKind::RateLimited,
                "this device sends more reports a minute than are taken",
            ));
        }
        let digest = StoredReport::of(&upload, &id).digest();
        let digest = u64::from_be_bytes(first_eight(&digest.report));
        let receipt = Receipt {
            id: self.memory.report_key(&self.locality, &id),
            digest,
            attested: attested.map(|attested| self.memory.device_key(&self.locality, &upload.metric, &attested)),
            counters: Arc::clone(counters),
        };
        if self.memory.admit(&receipt, now)? {
            return Ok(Verdict::Before);
        }
        Ok(Verdict::Fresh(Box::new(Kept { upload, id, receipt })))
    }
}

/// A rejection that only a request for another locality can meet.
struct Error;

impl Error {
    fn unknown_locality(name: &str) -> Rejection {
        Rejection::new(ProblemKind::UnknownLocality, format!("nobody counts here for {name}"))
    }
}

fn first_eight(digest: &[u8; 16]) -> [u8; 8] {
    let mut half = [0; 8];
    half.copy_from_slice(&digest[..8]);
    half
}
