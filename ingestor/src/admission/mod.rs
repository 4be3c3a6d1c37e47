//! Admission: the checks that a report passes before it is written to the spool.
//!
//! In order: schema version, registry, parameters, id, time, keys, lengths, curve points,
//! attestation, rates, replay. The rate limits and the replay check are best effort. The batcher
//! guarantees that each report counts once.
//!
//! | file | contents |
//! |---|---|
//! | `table` | the registry's metrics, prepared for comparison, with their counters |
//! | `checks` | checks that need only the report and the configuration |
//! | `report_cache` | a bounded cache of recently accepted reports |
//! | `rates` | rate limits of networks and attested keys |

mod checks;
mod rates;
mod report_cache;
mod table;

use std::sync::{Arc, PoisonError, RwLock};

use tallybox_model::report::{ProblemKind, ReportUpload, StoredReport};

use crate::ingestor::Ingestor;
use crate::metrics::{Metrics, ReportCounters};
use crate::spool::{AcceptedReport, DedupEntry};

pub(crate) use rates::Rates;
pub use report_cache::ReportCache;
pub(crate) use table::{RegisteredMetric, Table};

/// The admission of one locality's reports.
#[derive(Debug)]
pub struct AdmissionControl {
    ingestor: Arc<Ingestor>,
    locality: String,
    metrics: Arc<Metrics>,
    report_cache: Arc<ReportCache>,
    keys: Arc<Rates>,
    table: RwLock<Arc<Table>>,
}

/// The outcome of the checks.
#[derive(Debug)]
pub enum Admission {
    /// A new report, which has to be made durable.
    Accepted(Box<AcceptedReport>),
    /// A report that is already durable.
    Duplicate,
    /// A report that is not stored.
    Rejected(Rejection),
}

/// The reason why a report is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The type of problem.
    pub kind: ProblemKind,
    /// The cause in this report.
    pub detail: String,
}

impl Rejection {
    /// Creates a rejection.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { kind, detail }
    }
}

impl AdmissionControl {
    /// Creates the admission of one of the ingestor's localities.
    pub(crate) fn new(
        ingestor: &Arc<Ingestor>,
        locality: &str,
        metrics: &Arc<Metrics>,
        report_cache: &Arc<ReportCache>,
        keys: &Arc<Rates>,
    ) -> Self {
        let table = Table::new(ingestor.registry.current(), locality, metrics);
        Self {
            ingestor: Arc::clone(ingestor),
            locality: locality.to_owned(),
            metrics: Arc::clone(metrics),
            report_cache: Arc::clone(report_cache),
            keys: Arc::clone(keys),
            table: RwLock::new(Arc::new(table)),
        }
    }

    /// Returns the metrics in force. All reports of a body are checked against the same table.
    pub(crate) fn table(&self) -> Arc<Table> {
        let registry = self.ingestor.registry.current();
        // The value behind the lock is replaced as a whole, so a poisoned lock is safe to use.
        let table = Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner));
        if Arc::ptr_eq(table.registry(), &registry) {
            return table;
        }
        let new = Arc::new(Table::new(registry, &self.locality, &self.metrics));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        new
    }

    /// Checks a report and counts the outcome. A new report is counted later, when it is durable.
    pub(crate) fn check(
        &self,
        table: &Table,
        upload: ReportUpload,
        allowed: impl FnOnce() -> bool,
    ) -> Admission {
        let registered = table.metric(&upload.metric);
        let counters = registered.map_or_else(|| table.unknown(), RegisteredMetric::counters);
        counters.received.inc();
        let outcome = self.decide(registered, counters, upload, allowed);
        match outcome.unwrap_or_else(Admission::Rejected) {
            Admission::Duplicate => {
                counters.already_accepted.inc();
                Admission::Duplicate
            }
            Admission::Rejected(rejection) => {
                counters.reject(rejection.kind);
                Admission::Rejected(rejection)
            }
            new @ Admission::Accepted(_) => new,
        }
    }

    fn decide(
        &self,
        registered: Option<&RegisteredMetric>,
        counters: &Arc<ReportCounters>,
        mut upload: ReportUpload,
        allowed: impl FnOnce() -> bool,
    ) -> Result<Admission, Rejection> {
        let now = self.ingestor.clients_millis();
        let unknown = || Error::unknown_locality(&self.locality);
        let locality = self
            .ingestor
            .localities
            .get(&self.locality)
            .ok_or_else(unknown)?;
        checks::schema_version(&upload)?;
        let registered = checks::metric(registered, &upload)?;
        checks::parameters(registered, &upload)?;
        let id = checks::id(&upload)?;
        if let Some(created) = upload.created {
            self.metrics
                .created_skew
                .observe((now - created) as f64 / 1000.0);
            checks::created(created, now, &self.ingestor.acceptance)?;
        }
        checks::keys(registered, &locality.key_pairs, &upload)?;
        checks::shares(registered, &upload)?;
        let attested = checks::attestation(locality, &upload, now)?;
        // The attestation is verified and must not be stored.
        (upload.signature, upload.certificate_chain) = (None, Vec::new());
        if !allowed() {
            return Err(Rejection::new(
                ProblemKind::RateLimited,
                "this network sends more reports per minute than the limit; send them again later",
            ));
        }
        if attested
            .as_ref()
            .is_some_and(|attested| !self.keys.try_acquire(&attested.key))
        {
            return Err(Rejection::new(
                ProblemKind::RateLimited,
                "this device sends more reports per minute than the limit; send them again later",
            ));
        }
        let digest = StoredReport::from_upload(&upload, &id).digest();
        let digest = u64::from_be_bytes(first_eight(&digest.report));
        let entry = DedupEntry {
            id: self.report_cache.report_key(&self.locality, &id),
            digest,
            attested: attested.map(|attested| {
                self.report_cache
                    .device_key(&self.locality, &upload.metric, &attested)
            }),
            counters: Arc::clone(counters),
        };
        if self.report_cache.admit(&entry, now)? {
            return Ok(Admission::Duplicate);
        }
        Ok(Admission::Accepted(Box::new(AcceptedReport {
            upload,
            id,
            dedup_entry: entry,
        })))
    }
}

/// Constructor of a rejection that cannot occur: routing has found the locality already.
struct Error;

impl Error {
    fn unknown_locality(name: &str) -> Rejection {
        Rejection::new(
            ProblemKind::UnknownLocality,
            format!("unknown locality {name}; check the URL of the request"),
        )
    }
}

fn first_eight(digest: &[u8; 16]) -> [u8; 8] {
    let mut half = [0; 8];
    half.copy_from_slice(&digest[..8]);
    half
}
