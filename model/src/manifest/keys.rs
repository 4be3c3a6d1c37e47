//! The published keys inside manifests. PEM remains text in this crate; `tallybox-crypto` parses
//! it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::object::Object;
use super::{Expiration, ManifestError};
use crate::id::KeyId;

/// A public key with which a server signs its batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BatchSigningPublicKey {
    /// PEM block `PUBLIC KEY`: a P-256 SubjectPublicKeyInfo.
    pub public_key: String,
    /// When the key stops being valid.
    pub expiration: Expiration,
}

/// A public key to which clients encrypt their packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PacketEncryptionKey {
    /// PEM block `CERTIFICATE REQUEST`: a PKCS#10 request for a P-256 key, signed by that key.
    pub certificate_signing_request: String,
}

/// Takes `batch-signing-public-keys` from a manifest.
pub(super) fn batch_signing_keys(
    manifest: &mut Object<'_>,
) -> Result<BTreeMap<KeyId, BatchSigningPublicKey>, ManifestError> {
    keys(manifest, "batch-signing-public-keys", |key| {
        let public_key = key.text("public-key")?;
        let expiration = key.text("expiration")?;
        let expiration =
            Expiration::parse(&expiration).map_err(|error| key.bad_value("expiration", error))?;
        Ok(BatchSigningPublicKey {
            public_key,
            expiration,
        })
    })
}

/// Takes `packet-encryption-keys` from a manifest.
pub(super) fn packet_encryption_keys(
    manifest: &mut Object<'_>,
) -> Result<BTreeMap<KeyId, PacketEncryptionKey>, ManifestError> {
    keys(manifest, "packet-encryption-keys", |key| {
        Ok(PacketEncryptionKey {
            certificate_signing_request: key.text("certificate-signing-request")?,
        })
    })
}

fn keys<K>(
    manifest: &mut Object<'_>,
    name: &str,
    read: impl Fn(&mut Object<'_>) -> Result<K, ManifestError>,
) -> Result<BTreeMap<KeyId, K>, ManifestError> {
    let mut entries = manifest.object(name)?;
    let mut keys = BTreeMap::new();
    for id in entries.names() {
        let mut entry = entries.object(&id)?;
        let key = read(&mut entry)?;
        entry.finish()?;
        keys.insert(id, key);
    }
    Ok(keys)
}
