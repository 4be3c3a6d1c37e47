//! What a device says about itself, and whether it holds. Checked at the door, then dropped: never stored, never logged.

pub mod android;
mod challenge;
mod reason;
#[cfg(any(test, feature = "test-attestation"))]
pub mod test;

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use tallybox_model::client_config::AttestationPolicy;
use tallybox_model::report::ReportUpload;
use tallybox_service::config::Loaded;

pub use android::{AndroidConfig, AndroidVerifier};
pub use reason::Reason;

use crate::config::{Config, LocalityConfig};
use crate::error::Error;

/// How attestations are checked: one kind of them, by its name. Tokens will be another.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum VerifierConfig {
    /// Android hardware key attestation.
    Android(Box<AndroidConfig>),
    /// Attestations that anybody can make, for sandboxes and tests. Released programs refuse it: they are built
    /// without the feature `test-attestation`.
    Test(TestConfig),
}

/// Attestations that prove nothing.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TestConfig {
    /// Has to be said, as `true`.
    pub anybody_may_attest: bool,
}

/// Something that checks attestations.
///
/// It sees one report at a time and keeps nothing of it. Whatever it cannot understand it refuses.
pub trait Verifier: Send + Sync + std::fmt::Debug {
    /// Checks a report's attestation at this time, milliseconds since the epoch.
    ///
    /// # Errors
    /// [`Refusal`] that says why it does not hold; nothing of it names the device.
    fn verify(&self, report: &ReportUpload, now: i64) -> Result<AttestedKey, Refusal>;

    /// For how many minutes the attested key of a day is taken, from the first to the last: a report may come again for
    /// as long.
    fn key_minutes(&self) -> u64;
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
pub fn open(config: &Loaded<Config>, name: &str, locality: &LocalityConfig) -> Result<Option<SharedVerifier>, Error> {
    if locality.attestation == AttestationPolicy::None {
        return Ok(None);
    }
    let key = format!("localities.{name}.verifier");
    // Never let everything through because nothing is there that could refuse.
    let missing = || Error::Setting(format!("{key} is needed with attestation required or optional"));
    let verifier = locality.verifier.as_ref().ok_or_else(missing)?;
    open_verifier(verifier, &config.directory, &key).map(Some)
}

fn open_verifier(verifier: &VerifierConfig, directory: &Path, key: &str) -> Result<SharedVerifier, Error> {
    match verifier {
        VerifierConfig::Android(android) => {
            let verifier = AndroidVerifier::open(android, directory, &format!("{key}.android"))?;
            Ok(Arc::new(verifier))
        }
        VerifierConfig::Test(test) => open_test(test, &format!("{key}.test")),
    }
}

#[cfg(feature = "test-attestation")]
fn open_test(config: &TestConfig, key: &str) -> Result<SharedVerifier, Error> {
    if !config.anybody_may_attest {
        return Err(Error::Setting(format!("{key}.anybody-may-attest has to be true")));
    }
    tracing::warn!("attestations that anybody can make are taken: for tests only");
    Ok(Arc::new(test::TestVerifier))
}

#[cfg(not(feature = "test-attestation"))]
fn open_test(_config: &TestConfig, key: &str) -> Result<SharedVerifier, Error> {
    Err(Error::Setting(format!(
        "{key}: this program does not take test attestations: it was built without the feature test-attestation"
    )))
}

#[cfg(test)]
mod open_tests;
