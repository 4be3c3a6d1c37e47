//! Reports: the uploads of clients, the ingestor's answers, and the part of a report that the
//! ingestor stores.
//!
//! A report arrives as JSON with ENPA's field names ([`json`]) or as an Avro record
//! ([`ReportUpload`]); both contain the same data. The ingestor stores a [`StoredReport`], which
//! contains no time, no address and no attestation.

mod answer;
mod digest;
pub mod json;
mod problem;
mod signed;
mod stored;
mod upload;

pub use answer::{ReportResult, ReportStatus, ReportsAnswer};
pub use digest::{ReportDigest, ciphertext_digest, report_digest};
pub use problem::{Problem, ProblemKind};
pub use signed::signed_bytes;
pub use stored::StoredReport;
pub use upload::{Attestation, ReportUpload};

/// The accepted versions of the report schema. ENPA's last clients use version 2.
pub const SCHEMA_VERSIONS: std::ops::RangeInclusive<i32> = 1..=2;
