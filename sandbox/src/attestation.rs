//! Attestation in a sandbox. By default the verifier accepts attestations that any client can
//! create, for client developers without a phone.
//!
//! A client creates a P-256 key, which nothing certifies, and signs the challenge and the report's
//! bytes with it (`docs/attestation.md`, section 3). Otherwise the ingestor handles such an
//! attestation like a real one: it is bound to the report, the metric and the day.

use std::path::PathBuf;
use std::sync::Arc;

use base64ct::{Base64, Encoding as _};
use clap::ValueEnum;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tallybox_crypto::VerifyingKey;
use tallybox_ingestor::attestation::{AttestedKey, Reason, Refusal, Verifier};
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::client_config::AttestationPolicy;
use tallybox_model::report::{ReportUpload, signed_bytes};
use tallybox_model::time::BatchTime;

use crate::error::Error;

/// Replaces the package name in the challenge.
const PACKAGE_NAME: &str = "sandbox";
const HOUR_MILLIS: i64 = 3_600_000;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
/// Validity of a day's key in minutes: the day, and one hour before and after it for clock skew.
const KEY_MINUTES: u64 = 26 * 60;
/// The attestation policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// A report without a valid attestation is refused
    Required,
    /// A report without an attestation is accepted; an invalid attestation is refused
    Optional,
}

/// The attestation options of a sandbox.
#[derive(Debug, Clone)]
pub struct AttestationOptions {
    /// The policy.
    pub demand: Demand,
    /// File with the section `verifier` of a locality; without it the sandbox accepts self-made
    /// attestations.
    pub verifier: Option<PathBuf>,
}

impl From<Demand> for AttestationPolicy {
    fn from(demand: Demand) -> Self {
        match demand {
            Demand::Required => Self::Required,
            Demand::Optional => Self::Optional,
        }
    }
}

impl AttestationOptions {
    /// Returns the attestation lines of the ingestor's configuration, if a `verifier` file is
    /// given.
    pub(crate) fn lines(&self) -> Result<Option<String>, Error> {
        let Some(file) = &self.verifier else {
            return Ok(None);
        };
        let section = std::fs::read_to_string(file).map_err(Error::file(file))?;
        let demand = match self.demand {
            Demand::Required => "required",
            Demand::Optional => "optional",
        };
        let mut lines = format!("    attestation: {demand}\n    verifier:\n");
        for line in section.lines() {
            lines += &format!("      {line}\n");
        }
        Ok(Some(lines))
    }

    /// Makes the ingestor accept self-made attestations, unless its configuration has a verifier.
    pub(crate) fn apply(&self, ingestor: &mut Ingestor) {
        if self.verifier.is_some() {
            return;
        }
        for locality in ingestor.localities.values_mut() {
            locality.attestation = self.demand.into();
            locality.verifier = Some(Arc::new(AcceptAnyKey));
        }
    }
}

/// A verifier that accepts attestations with any key.
#[derive(Debug)]
pub(crate) struct AcceptAnyKey;

impl Verifier for AcceptAnyKey {
    fn verify(&self, report: &ReportUpload, now: i64) -> Result<AttestedKey, Refusal> {
        let attestation = report.attestation().ok_or(Reason::SignatureForm)?;
        let [point] = attestation.chain else {
            return Err(Reason::ChainLength.into());
        };
        let key = verifying_key(point).ok_or(Reason::LeafKey)?;
        if signed_bytes(report).is_none() {
            return Err(Reason::SchemaVersion.into());
        }
        let days = [
            now,
            now.saturating_sub(HOUR_MILLIS),
            now.saturating_add(HOUR_MILLIS),
        ]
        .map(|time| time.div_euclid(DAY_MILLIS));
        let signed = |day: &i64| {
            message(report, *day)
                .is_some_and(|message| key.verify(&message, attestation.signature).is_ok())
        };
        let day = days
            .into_iter()
            .find(signed)
            .ok_or(Reason::ReportSignature)?;
        let mut digest = [0; 16];
        digest.copy_from_slice(&Sha256::digest(point)[..16]);
        Ok(AttestedKey { key: digest, day })
    }

    fn key_minutes(&self) -> u64 {
        KEY_MINUTES
    }
}

/// Parses the key of an uncompressed point.
fn verifying_key(point: &[u8]) -> Option<VerifyingKey> {
    (point.len() == 65).then(|| VerifyingKey::parse(&Base64::encode_string(point)).ok())?
}

/// Returns the message that a key signs for a day: the challenge, then the report's bytes.
fn message(report: &ReportUpload, day: i64) -> Option<Vec<u8>> {
    let date = BatchTime::from_millis(day.checked_mul(DAY_MILLIS)?)?.compact();
    let mut challenge = Sha256::new();
    for part in [
        "ENPA::attestation",
        PACKAGE_NAME,
        &report.metric,
        date.get(..8)?,
    ] {
        challenge.update(part.as_bytes());
    }
    let mut message = challenge.finalize().to_vec();
    message.extend(signed_bytes(report)?);
    Some(message)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use tallybox_crypto::SigningKey;

    use super::*;

    /// Attests a report as a client does.
    pub(crate) fn attest(report: &mut ReportUpload, key: &SigningKey, now: i64) {
        report.signature = Some(key.sign(&message(report, now.div_euclid(DAY_MILLIS)).unwrap()));
        report.certificate_chain = vec![key.verifying_key().as_bytes().to_vec().into()];
    }
}
