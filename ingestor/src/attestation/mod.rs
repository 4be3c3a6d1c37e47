//! What a device says about itself, and whether it holds. Checked at the door, then dropped: never stored, never logged.

use std::sync::Arc;

use serde::Deserialize;
use tallybox_model::report::ReportUpload;
use tallybox_service::config::Loaded;

use crate::config::{Config, LocalityConfig};
use crate::error::Error;

/// How attestations are checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VerifierConfig {}

/// Something that checks attestations.
///
/// It sees one report at a time and keeps nothing of it. Whatever it cannot understand it refuses.
pub trait Verifier: Send + Sync + std::fmt::Debug {
    /// Checks a report's attestation at this time, milliseconds since the epoch.
    ///
    /// # Errors
    /// [`Refusal`] that says why it does not hold; nothing of it names the device.
    fn verify(&self, report: &ReportUpload, now: i64) -> Result<AttestedKey, Refusal>;
}

/// What is kept of a good attestation while it is checked against others: a digest of the attested key and the day that
/// it is for, in days since the epoch. It tells one device from another for a metric and a day, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttestedKey {
    /// SHA-256 of the key, cut to 16 bytes.
    pub key: [u8; 16],
    /// Days since the epoch, UTC.
    pub day: i64,
}

/// Why an attestation does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// A word that never changes, for counters.
    pub reason: &'static str,
    /// What is wrong, for the client's developer.
    pub detail: String,
}

/// A verifier that several requests use.
pub type SharedVerifier = Arc<dyn Verifier>;

/// What checks the attestations of a locality; none if its policy is not to look at any.
///
/// # Errors
/// [`Error`] that names the file or the key of the configuration.
pub fn open(
    _config: &Loaded<Config>,
    _name: &str,
    _locality: &LocalityConfig,
) -> Result<Option<SharedVerifier>, Error> {
    Ok(None)
}
