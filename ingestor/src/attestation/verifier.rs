//! The interface of verifiers of attestations.

use tallybox_model::report::ReportUpload;

/// A verifier of attestations.
///
/// A verifier processes one report at a time and stores nothing about it. It rejects attestations
/// that it cannot parse.
pub trait Verifier: Send + Sync + std::fmt::Debug {
    /// Verifies a report's attestation at the time `now`, in milliseconds since the epoch.
    ///
    /// # Errors
    /// [`Refusal`] with the reason. The error does not identify the device.
    fn verify(&self, report: &ReportUpload, now: i64) -> Result<AttestedKey, Refusal>;

    /// Returns for how many minutes the attested key of a day is accepted. A report can be replayed
    /// for the same time.
    fn key_minutes(&self) -> u64;
}

/// The result of a verified attestation: a digest of the attested key, and the day of the key. The
/// pair distinguishes devices for one metric and day, and identifies nothing else. It is kept only
/// to limit reports per device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttestedKey {
    /// SHA-256 of the key, cut to 16 bytes.
    pub key: [u8; 16],
    /// Days since the epoch, UTC.
    pub day: i64,
}

/// The reason why an attestation is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// The reason code, which never changes; a label of metrics.
    pub reason: &'static str,
    /// The cause, for the client's developer.
    pub detail: String,
}
