//! Test attestation: a new key signs the report and the challenge, and no certificate authority
//! vouches for the key. The rest of the ingestor treats it like a real attestation: bound to
//! report, metric and day, with one key per device.
//!
//! Compiled only into tests, and into programs with the feature `test-attestation`.

use base64ct::{Base64, Encoding as _};
use rand::CryptoRng;
use tallybox_crypto::{SigningKey, VerifyingKey};
use tallybox_model::report::{ReportUpload, signed_bytes};

use super::android::key_digest;
use super::challenge::{DayWindow, challenge};
use super::reason::Reason;
use super::verifier::{AttestedKey, Refusal, Verifier};

#[cfg(test)]
pub(crate) mod phone;

/// Takes the place of the package name in the challenge.
const PACKAGE: &str = "test";
/// Bytes of an uncompressed point of P-256.
const POINT: usize = 65;

/// A test device with its own key, which is not certified.
#[derive(Debug)]
pub struct TestDevice {
    key: SigningKey,
}

impl TestDevice {
    /// Creates a device with a new key.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self {
            key: SigningKey::generate(rng),
        }
    }

    /// Attests a report for the UTC day of `now`, in milliseconds since the epoch. If the schema
    /// version is unknown, the signature will not verify.
    pub fn attest(&self, report: &mut ReportUpload, now: i64) {
        let day = now.div_euclid(86_400_000);
        let message = message(report, day).unwrap_or_default();
        report.signature = Some(self.key.sign(&message));
        report.certificate_chain = vec![self.key.verifying_key().as_bytes().to_vec().into()];
    }
}

/// A verifier for reports of [`TestDevice`]s.
#[derive(Debug)]
pub struct TestVerifier;

/// The accepted days, with the default limits.
const WINDOW: DayWindow = DayWindow::minutes(60, 60);

impl Verifier for TestVerifier {
    fn verify(&self, report: &ReportUpload, now: i64) -> Result<AttestedKey, Refusal> {
        let attestation = report.attestation().ok_or(Reason::SignatureForm)?;
        let [point] = attestation.chain else {
            return Err(Reason::ChainLength.into());
        };
        if point.len() != POINT {
            return Err(Reason::LeafKey.into());
        }
        let key =
            VerifyingKey::parse(&Base64::encode_string(point)).map_err(|_| Reason::LeafKey)?;
        if signed_bytes(report).is_none() {
            return Err(Reason::SchemaVersion.into());
        }
        let signed = |day: &i64| {
            message(report, *day)
                .is_some_and(|message| key.verify(&message, attestation.signature).is_ok())
        };
        let day = WINDOW.days(now).find(signed);
        Ok(AttestedKey {
            key: key_digest(point),
            day: day.ok_or(Reason::ReportSignature)?,
        })
    }

    fn key_minutes(&self) -> u64 {
        WINDOW.key_minutes()
    }
}

/// Returns the bytes that a test device signs.
fn message(report: &ReportUpload, day: i64) -> Option<Vec<u8>> {
    let mut message = challenge(PACKAGE, &report.metric, day)?.to_vec();
    message.extend(signed_bytes(report)?);
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 20_000 * 86_400_000 + 43_200_000;

    fn verify(report: &ReportUpload, now: i64) -> Result<AttestedKey, &'static str> {
        TestVerifier
            .verify(report, now)
            .map_err(|refusal| refusal.reason)
    }

    #[test]
    fn an_attested_report_holds_and_no_other_does() {
        let device = TestDevice::generate(&mut rand::rng());
        let mut report = phone::report("metric-v1");
        assert_eq!(verify(&report, NOON), Err("signature-form"));
        device.attest(&mut report, NOON);
        let key = verify(&report, NOON);
        assert_eq!(key.map(|key| key.day), Ok(20_000));
        let change = |change: fn(&mut ReportUpload)| {
            let mut report = report.clone();
            change(&mut report);
            verify(&report, NOON)
        };
        assert_eq!(
            change(|report| report.metric.push('x')),
            Err("report-signature")
        );
        assert_eq!(
            change(|report| report.payload_first[0] ^= 1),
            Err("report-signature")
        );
        assert_eq!(
            change(|report| report.signature = None),
            Err("report-signature")
        );
        assert_eq!(
            change(|report| report.schema_version = 9),
            Err("schema-version")
        );
        assert_eq!(
            change(|report| report.certificate_chain.clear()),
            Err("chain-length")
        );
        assert_eq!(
            change(|report| report.certificate_chain[0].clear()),
            Err("leaf-key")
        );
        assert_eq!(
            change(|report| report.certificate_chain[0][40] ^= 1),
            Err("leaf-key")
        );
        assert_eq!(verify(&report, NOON + 86_400_000), Err("report-signature"));
    }

    #[test]
    fn a_device_is_told_from_another_and_not_by_its_reports() {
        let mut rng = rand::rng();
        let devices = [
            TestDevice::generate(&mut rng),
            TestDevice::generate(&mut rng),
        ];
        let key = |device: &TestDevice, id: &str| {
            let mut report = phone::report("metric-v1");
            id.clone_into(&mut report.id);
            device.attest(&mut report, NOON);
            verify(&report, NOON)
        };
        assert_eq!(key(&devices[0], "a"), key(&devices[0], "b"));
        assert_ne!(key(&devices[0], "a"), key(&devices[1], "a"));
    }
}
