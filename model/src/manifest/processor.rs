//! The two manifests of a data share processor: one for the whole server, one for each instance.

use std::collections::BTreeMap;

use serde::Serialize;

use super::json::to_bytes;
use super::keys::{batch_signing_keys, packet_encryption_keys};
use super::object::Object;
use super::{BatchSigningPublicKey, ManifestError, PacketEncryptionKey, StoragePath};
use crate::id::KeyId;

/// The `global-manifest.json` of a processor: its accounts in the clouds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProcessorGlobalManifest {
    /// Format number, 0 or 1. Both have the same content.
    pub format: u64,
    /// The accounts with which the processor accesses other servers' buckets.
    pub server_identity: ProcessorIdentity,
}

/// The accounts of a processor. At most one of `aws_account_id` and `gcp_service_account_id` is
/// present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProcessorIdentity {
    /// AWS account that peers should trust. Used before federated identities were introduced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_account_id: Option<u64>,
    /// Numeric id of a Google service account, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcp_service_account_id: Option<String>,
    /// Address of the Google service account that writes to the peer's and the portal's buckets.
    pub gcp_service_account_email: String,
}

impl ProcessorGlobalManifest {
    /// The format numbers that are supported.
    pub const FORMATS: &'static [u64] = &[0, 1];

    /// Parses the bytes of `document`.
    ///
    /// # Errors
    /// [`ManifestError`] if the bytes do not follow this format exactly, or exceed `limit`.
    pub fn parse(document: &str, bytes: &[u8], limit: usize) -> Result<Self, ManifestError> {
        let mut root = Object::root(document, bytes, limit)?;
        let format = root.format(Self::FORMATS)?;
        let mut identity = root.object("server-identity")?;
        let server_identity = ProcessorIdentity {
            aws_account_id: identity.natural_if_any("aws-account-id")?,
            gcp_service_account_id: identity.text_if_any("gcp-service-account-id")?,
            gcp_service_account_email: identity.text("gcp-service-account-email")?,
        };
        if server_identity.aws_account_id.is_some()
            && server_identity.gcp_service_account_id.is_some()
        {
            let (document, key) = (identity.document(), identity.path().to_owned());
            return Err(ManifestError::TwoIdentities { document, key });
        }
        identity.finish()?;
        root.finish()?;
        Ok(Self {
            format,
            server_identity,
        })
    }

    /// Serialises the manifest to the bytes to publish.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        to_bytes(self)
    }
}

/// The `{instance}-manifest.json` of a processor: its mailboxes and keys for one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProcessorManifest {
    /// Format number, 1 or 2. Both have the same content.
    pub format: u64,
    /// The bucket into which the ingestor writes ingestion batches.
    pub ingestion_bucket: StoragePath,
    /// AWS role that an ingestor without an AWS account assumes to write there. Never empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingestion_identity: Option<String>,
    /// The bucket into which the peer writes validation batches.
    pub peer_validation_bucket: StoragePath,
    /// AWS role that the peer assumes to write there. Never empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_validation_identity: Option<String>,
    /// All keys with which this processor may sign batches.
    pub batch_signing_public_keys: BTreeMap<KeyId, BatchSigningPublicKey>,
    /// The keys to which clients encrypt. ENPA publishes exactly one.
    pub packet_encryption_keys: BTreeMap<KeyId, PacketEncryptionKey>,
}

impl ProcessorManifest {
    /// The format numbers that are supported.
    pub const FORMATS: &'static [u64] = &[1, 2];

    /// Parses the bytes of `document`.
    ///
    /// # Errors
    /// [`ManifestError`] if the bytes do not follow this format exactly, or exceed `limit`.
    pub fn parse(document: &str, bytes: &[u8], limit: usize) -> Result<Self, ManifestError> {
        let mut root = Object::root(document, bytes, limit)?;
        let manifest = Self {
            format: root.format(Self::FORMATS)?,
            ingestion_bucket: storage_path(&mut root, "ingestion-bucket")?,
            ingestion_identity: aws_role(&mut root, "ingestion-identity")?,
            peer_validation_bucket: storage_path(&mut root, "peer-validation-bucket")?,
            peer_validation_identity: aws_role(&mut root, "peer-validation-identity")?,
            batch_signing_public_keys: batch_signing_keys(&mut root)?,
            packet_encryption_keys: packet_encryption_keys(&mut root)?,
        };
        root.finish()?;
        Ok(manifest)
    }

    /// Serialises the manifest to the bytes to publish.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        to_bytes(self)
    }
}

/// Takes a required storage path.
pub(super) fn storage_path(
    object: &mut Object<'_>,
    key: &str,
) -> Result<StoragePath, ManifestError> {
    object
        .text(key)?
        .parse()
        .map_err(|error| object.bad_value(key, error))
}

/// Takes an optional AWS role. Absent and empty are equivalent; null is an error, because the
/// predecessor's reader fails on it.
fn aws_role(object: &mut Object<'_>, key: &str) -> Result<Option<String>, ManifestError> {
    Ok(object.text_if_there(key)?.filter(|role| !role.is_empty()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
