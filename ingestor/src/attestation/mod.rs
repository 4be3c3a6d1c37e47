//! Device attestations: parsed and verified at admission, then dropped. They are never stored and
//! never logged.

pub mod android;
mod challenge;
mod reason;
#[cfg(any(test, feature = "test-attestation"))]
pub mod test;
mod verifier;

use std::path::Path;
use std::sync::Arc;

use tallybox_model::client_config::AttestationPolicy;
use tallybox_service::config::Loaded;

pub use android::AndroidVerifier;
pub use reason::Reason;
pub use verifier::{AttestedKey, Refusal, Verifier};

use crate::config::attestation::{TestConfig, VerifierConfig};
use crate::config::{Config, LocalityConfig};
use crate::error::Error;

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
