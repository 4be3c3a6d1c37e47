//! Device attestations: parsed and verified at admission, then dropped. They are never stored and
//! never logged.

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

/// The kind of attestation, with its settings. Further kinds, such as tokens, can be added.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum VerifierConfig {
    /// Android hardware key attestation.
    Android(Box<AndroidConfig>),
    /// Attestations without any proof, for sandboxes and tests. Release builds reject this setting:
    /// they are built without the feature `test-attestation`.
    Test(TestConfig),
}

/// Settings of attestations that prove nothing.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TestConfig {
    /// Has to be `true`, as a confirmation.
    pub anybody_may_attest: bool,
}

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

/// A verifier that requests share.
pub type SharedVerifier = Arc<dyn Verifier>;

/// Opens the verifier of a locality, or returns `None` if its policy ignores attestations.
///
/// # Errors
/// [`Error`] that names the file or the setting.
pub fn open(
    config: &Loaded<Config>,
    name: &str,
    locality: &LocalityConfig,
) -> Result<Option<SharedVerifier>, Error> {
    if locality.attestation == AttestationPolicy::None {
        return Ok(None);
    }
    let key = format!("localities.{name}.verifier");
    // A missing verifier is an error: otherwise every report would be accepted without a check.
    let missing = || {
        Error::Setting(format!(
            "{key} is required with attestation `required` or `optional`"
        ))
    };
    let verifier = locality.verifier.as_ref().ok_or_else(missing)?;
    open_verifier(verifier, &config.directory, &key).map(Some)
}

fn open_verifier(
    verifier: &VerifierConfig,
    directory: &Path,
    key: &str,
) -> Result<SharedVerifier, Error> {
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
        return Err(Error::Setting(format!(
            "{key}.anybody-may-attest has to be true"
        )));
    }
    tracing::warn!(
        "test attestations are accepted, which anyone can create; use this setting for tests only"
    );
    Ok(Arc::new(test::TestVerifier))
}

#[cfg(not(feature = "test-attestation"))]
fn open_test(_config: &TestConfig, key: &str) -> Result<SharedVerifier, Error> {
    Err(Error::Setting(format!(
        "{key}: this program does not accept test attestations: it was built without the feature test-attestation"
    )))
}

#[cfg(test)]
mod open_tests;
