//! Android hardware key attestation: a key that the phone's hardware generated for one application,
//! metric and day, and the certificates with which the manufacturer vouches for it.
//!
//! The order of checks is: sizes; then checks without public-key operations (key description
//! against policy and challenge); then the chain from the root down, with a cache for the
//! certificates that many phones share; then the leaf; then the report. A valid report costs two
//! P-256 verifications. A client without a certified key causes at most one verification per root.

mod algorithm;
mod certificate;
mod chain;
mod key_description;
mod policy;
mod revocation;

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use tallybox_model::report::{Attestation, ReportUpload, signed_bytes};
use tallybox_service::config::resolve;
use tallybox_service::key_file::FileError;

use self::certificate::Certificate;
use self::chain::{IssuerCache, Root};
use self::key_description::KeyDescription;
use self::policy::Policy;
use self::revocation::RevocationList;
use crate::attestation::reason::Reason;
use crate::attestation::verifier::{AttestedKey, Refusal, Verifier};
use crate::config::attestation::AndroidConfig;
use crate::error::Error;

/// Number of certificates in a chain, including the leaf.
const CHAIN_LENGTHS: std::ops::RangeInclusive<usize> = 2..=10;
/// Most bytes of a certificate.
const MOST_CERTIFICATE_BYTES: usize = 4096;
/// Most bytes of a chain.
const MOST_CHAIN_BYTES: usize = 16_384;
/// Most bytes of a signature. A P-256 signature in DER has at most 72.
const MOST_SIGNATURE_BYTES: usize = 80;
/// Cached paths from roots in each of two generations: at most about 10 MiB.
const CACHED_PATHS: usize = 4096;

/// A verifier of Android attestations.
#[derive(Debug)]
pub struct AndroidVerifier {
    roots: Vec<Root>,
    revocation: Option<RevocationList>,
    policy: Policy,
    issuers: IssuerCache,
}

impl AndroidVerifier {
    /// Reads the files that the configuration names, relative to its `directory`. `key` is the name
    /// of the setting in error messages.
    ///
    /// # Errors
    /// [`Error`] that names the file or the setting.
    pub fn open(config: &AndroidConfig, directory: &Path, key: &str) -> Result<Self, Error> {
        let policy =
            Policy::new(config).map_err(|problem| Error::Setting(format!("{key}.{problem}")))?;
        let roots = read_roots(&resolve(directory, &config.roots), key)?;
        let revocation = config.revocation.as_ref().map(|revocation| {
            let file = resolve(directory, &revocation.list);
            RevocationList::open(file.clone(), revocation.max_age_hours)
                .map_err(|source| FileError::unreadable(&file, source))
        });
        Ok(Self {
            roots,
            revocation: revocation.transpose()?,
            policy,
            issuers: IssuerCache::new(CACHED_PATHS),
        })
    }

    fn check(&self, report: &ReportUpload, now: i64) -> Result<AttestedKey, Reason> {
        let attestation = report.attestation().ok_or(Reason::SignatureForm)?;
        let chain = within_limits(&attestation)?;
        let (leaf, issuers) = chain.split_first().ok_or(Reason::ChainLength)?;
        let signed = signed_bytes(report).ok_or(Reason::SchemaVersion)?;
        let leaf = Certificate::parse(leaf)?;
        let description = KeyDescription::parse(leaf.description()?)?;
        let day = self.policy.day(&description, &report.metric, now)?;
        leaf.may_sign_reports()?;
        let (point, encoded) = algorithm::attested_key(leaf.key())?;
        self.check_issuers(&leaf, issuers, now)?;
        algorithm::verify_report(&point, &signed, attestation.signature)?;
        Ok(AttestedKey {
            key: key_digest(&encoded),
            day,
        })
    }

    /// Checks that the leaf was issued by a chain that is valid now. The leaf's own validity period
    /// is ignored: keystores write arbitrary times, and the challenge contains the day.
    fn check_issuers(
        &self,
        leaf: &Certificate<'_>,
        issuers: &[&[u8]],
        now: i64,
    ) -> Result<(), Reason> {
        let seconds = u64::try_from(now.div_euclid(1000)).unwrap_or(0);
        let issuers = self.issuers.find(issuers, &self.roots, seconds)?;
        if *leaf.issuer() != issuers.subject {
            return Err(Reason::ChainOrder);
        }
        if let Some(revocation) = &self.revocation {
            revocation.check(issuers.serials.iter().chain([&leaf.serial()]), now)?;
        }
        leaf.signed_by(&issuers.key)
    }
}

impl Verifier for AndroidVerifier {
    fn verify(&self, report: &ReportUpload, now: i64) -> Result<AttestedKey, Refusal> {
        Ok(self.check(report, now)?)
    }

    fn key_minutes(&self) -> u64 {
        self.policy.key_minutes()
    }
}

/// Returns the chain if it is within the size limits.
fn within_limits<'a>(attestation: &Attestation<'a>) -> Result<Vec<&'a [u8]>, Reason> {
    let chain = attestation.chain;
    if !(1..=MOST_SIGNATURE_BYTES).contains(&attestation.signature.len()) {
        return Err(Reason::SignatureForm);
    }
    if !CHAIN_LENGTHS.contains(&chain.len()) {
        return Err(Reason::ChainLength);
    }
    let bytes: usize = chain.iter().map(|certificate| certificate.len()).sum();
    let large = |certificate: &[u8]| certificate.len() > MOST_CERTIFICATE_BYTES;
    if bytes > MOST_CHAIN_BYTES || chain.iter().any(|certificate| large(certificate)) {
        return Err(Reason::ChainSize);
    }
    Ok(chain
        .iter()
        .map(|certificate| certificate.as_slice())
        .collect())
}

/// Returns a digest that identifies an attested key, from its unique encoding.
pub(super) fn key_digest(encoded: &[u8]) -> [u8; 16] {
    let whole: [u8; 32] = Sha256::digest(encoded).into();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

fn read_roots(file: &Path, key: &str) -> Result<Vec<Root>, Error> {
    let shown = file.display().to_string();
    let pem = std::fs::read(file).map_err(|source| FileError::unreadable(file, source))?;
    let unusable = |problem: &str| Error::Setting(format!("{key}.roots: {shown}: {problem}"));
    let roots: Vec<Root> = CertificateDer::pem_slice_iter(&pem)
        .map(|certificate| {
            let certificate =
                certificate.map_err(|_| unusable("the file does not contain PEM certificates"))?;
            Root::parse(&certificate)
                .map_err(|_| unusable("the file contains something else than X.509 version 3"))
        })
        .collect::<Result<_, _>>()?;
    if roots.is_empty() {
        return Err(unusable("the file contains no certificate"));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests;
