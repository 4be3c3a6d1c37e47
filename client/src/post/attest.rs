//! What a device says about itself: a hook, for what only the device can do.

use std::error::Error;

use serde_bytes::ByteBuf;
use tallybox_model::report::{ReportUpload, signed_bytes};

/// Signs reports with a key that the device attests.
pub trait Attester: Send + Sync {
    /// Signs `bytes`, which stand for `report`: ECDSA P-256 with SHA-256. The key's challenge binds the metric and
    /// the UTC day, so it depends on `report`, too.
    ///
    /// # Errors
    /// Whatever keeps the device from it.
    fn attest(&self, report: &ReportUpload, bytes: &[u8]) -> Result<Attested, Box<dyn Error + Send + Sync>>;
}

/// A device's word for a report.
#[derive(Clone, PartialEq, Eq)]
pub struct Attested {
    /// The signature, ASN.1 DER.
    pub signature: Vec<u8>,
    /// The certificates of its key in DER, leaf first.
    pub certificate_chain: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Attested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attested").finish_non_exhaustive()
    }
}

/// Puts the attestation into the report.
pub(super) fn attest(attester: &dyn Attester, upload: &mut ReportUpload) -> Result<(), Box<dyn Error + Send + Sync>> {
    // A configuration asks for a version of the schema that says what is signed, or it is refused.
    let bytes = signed_bytes(upload).unwrap_or_default();
    let Attested {
        signature,
        certificate_chain,
    } = attester.attest(upload, &bytes)?;
    upload.signature = Some(signature);
    upload.certificate_chain = certificate_chain.into_iter().map(ByteBuf::from).collect();
    Ok(())
}
