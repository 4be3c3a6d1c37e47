//! What clients send to an ingestor, what they are answered, and what the ingestor keeps of it.
//!
//! A report comes as JSON with ENPA's field names ([`json`]) or as an Avro record ([`ReportUpload`]); both say the
//! same. What is kept is a [`StoredReport`]: no time, no address, no attestation.

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

/// Versions of the report's schema that are taken. Version 2 is that of ENPA's last clients.
pub const SCHEMA_VERSIONS: std::ops::RangeInclusive<i32> = 1..=2;
