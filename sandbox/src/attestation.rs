//! Attestation in a sandbox: by default one that anybody can make, for client developers without a phone.
//!
//! A fresh P-256 key signs the challenge and the report's bytes (`docs/attestation.md`, section 3), and nothing vouches for
//! the key. Towards the rest of the ingestor it behaves as a real one does: bound to report, metric and day.

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

/// In place of the package's name in the challenge.
const PACKAGE: &str = "sandbox";
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// For how long the key of a day is taken: the day, and an hour before and after it.
const KEY_MINUTES: u64 = 26 * 60;
/// Whether reports have to be attested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// A report without a good attestation is refused
    Required,
    /// A report without one is taken, one with a bad one is refused
    Optional,
}

/// What attestations are checked by, and whether there has to be one.
#[derive(Debug, Clone)]
pub struct Attestation {
    /// Whether there has to be one.
    pub demand: Demand,
    /// The section `verifier` of a locality, as an ingestor has it; without it anybody can attest.
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

impl Attestation {
    /// The lines of the ingestor's configuration, two levels deep, if a verifier of its own is named.
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

    /// Has an ingestor take attestations that anybody can make, unless it was configured with a verifier of its own.
    pub(crate) fn apply(&self, ingestor: &mut Ingestor) {
        if self.verifier.is_some() {
            return;
        }
        for locality in ingestor.localities.values_mut() {
            locality.attestation = self.demand.into();
            locality.verifier = Some(Arc::new(Anybody));
        }
    }
}

/// Checks attestations that anybody can make.
#[derive(Debug)]
pub(crate) struct Anybody;

impl Verifier for Anybody {
    fn verify(&self, report: &ReportUpload, now: i64) -> Result<AttestedKey, Refusal> {
        let attestation = report.attestation().ok_or(Reason::SignatureForm)?;
        let [point] = attestation.chain else {
            return Err(Reason::ChainLength.into());
        };
        let key = verifying_key(point).ok_or(Reason::LeafKey)?;
        if signed_bytes(report).is_none() {
            return Err(Reason::SchemaVersion.into());
        }
        let days = [now, now.saturating_sub(HOUR), now.saturating_add(HOUR)].map(|time| time.div_euclid(DAY));
        let signed = |day: &i64| {
            message(report, *day).is_some_and(|message| key.verify(&message, attestation.signature).is_ok())
        };
        let day = days.into_iter().find(signed).ok_or(Reason::ReportSignature)?;
        let mut digest = [0; 16];
        digest.copy_from_slice(&Sha256::digest(point)[..16]);
        Ok(AttestedKey { key: digest, day })
    }

    fn key_minutes(&self) -> u64 {
        KEY_MINUTES
    }
}

/// The key of an uncompressed point.
fn verifying_key(point: &[u8]) -> Option<VerifyingKey> {
    (point.len() == 65).then(|| VerifyingKey::parse(&Base64::encode_string(point)).ok())?
}

/// What a key signs for a day: the challenge, then the report's bytes.
fn message(report: &ReportUpload, day: i64) -> Option<Vec<u8>> {
    let date = BatchTime::from_millis(day.checked_mul(DAY)?)?.compact();
    let mut challenge = Sha256::new();
    for part in ["ENPA::attestation", PACKAGE, &report.metric, date.get(..8)?] {
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
        report.signature = Some(key.sign(&message(report, now.div_euclid(DAY)).unwrap()));
        report.certificate_chain = vec![key.verifying_key().as_bytes().to_vec().into()];
    }
}
