//! Attestation of reports by the device: a hook, because only the device can attest.

use std::error::Error;

use serde_bytes::ByteBuf;
use tallybox_model::report::{ReportUpload, signed_bytes};

/// Signs reports with a key that the device attests.
pub trait Attester: Send + Sync {
    /// Signs `bytes`, the signed form of `report`, with ECDSA P-256 and SHA-256. The key's
    /// attestation challenge contains the metric and the UTC day, so it depends on `report`, too.
    ///
    /// # Errors
    /// Any error of the device.
    fn attest(
        &self,
        report: &ReportUpload,
        bytes: &[u8],
    ) -> Result<Attested, Box<dyn Error + Send + Sync>>;
}

/// A device's attestation of a report.
#[derive(Clone, PartialEq, Eq)]
pub struct Attested {
    /// The signature, ASN.1 DER.
    pub signature: Vec<u8>,
    /// The certificates of the key in DER, leaf first.
    pub certificate_chain: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Attested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attested").finish_non_exhaustive()
    }
}

/// Adds the attestation to the report.
pub(super) fn attest(
    attester: &dyn Attester,
    upload: &mut ReportUpload,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // A configuration is rejected unless its schema version defines the signed bytes, so the
    // default is never used.
    let bytes = signed_bytes(upload).unwrap_or_default();
    let Attested {
        signature,
        certificate_chain,
    } = attester.attest(upload, &bytes)?;
    upload.signature = Some(signature);
    upload.certificate_chain = certificate_chain.into_iter().map(ByteBuf::from).collect();
    Ok(())
}
