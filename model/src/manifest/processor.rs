//! A data share processor's two manifests: one for the whole server, one for each instance.

use std::collections::BTreeMap;

use serde::Serialize;

use super::json::to_bytes;
use super::keys::{batch_signing_keys, packet_encryption_keys};
use super::object::Object;
use super::{BatchSigningPublicKey, ManifestError, PacketEncryptionKey, StoragePath};
use crate::id::KeyId;

/// `global-manifest.json` of a processor: who it is in the clouds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProcessorGlobalManifest {
    /// Format number, 0 or 1; both read alike.
    pub format: u64,
    /// The accounts under which the processor reaches other servers' buckets.
    pub server_identity: ProcessorIdentity,
}

/// A processor's accounts. At most one of `aws_account_id` and `gcp_service_account_id` is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProcessorIdentity {
    /// AWS account that peers should trust (from before federated identities).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_account_id: Option<u64>,
    /// Numeric id of a Google service account, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcp_service_account_id: Option<String>,
    /// Address of the Google service account that writes to the peer's and the portal's buckets.
    pub gcp_service_account_email: String,
}

impl ProcessorGlobalManifest {
    /// Format numbers that are read.
    pub const FORMATS: &'static [u64] = &[0, 1];

    /// Reads the bytes of `document`.
    ///
    /// # Errors
    /// [`ManifestError`] for anything but exactly this format in at most `limit` bytes.
    pub fn parse(document: &str, bytes: &[u8], limit: usize) -> Result<Self, ManifestError> {
        let mut root = Object::root(document, bytes, limit)?;
        let format = root.format(Self::FORMATS)?;
        let mut identity = root.object("server-identity")?;
        let server_identity = ProcessorIdentity {
            aws_account_id: identity.natural_if_any("aws-account-id")?,
            gcp_service_account_id: identity.text_if_any("gcp-service-account-id")?,
            gcp_service_account_email: identity.text("gcp-service-account-email")?,
        };
        if server_identity.aws_account_id.is_some() && server_identity.gcp_service_account_id.is_some() {
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

    /// The bytes to publish.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        to_bytes(self)
    }
}

/// `{instance}-manifest.json` of a processor: its mailboxes and keys for one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProcessorManifest {
    /// Format number, 1 or 2; both read alike.
    pub format: u64,
    /// Where the ingestor writes ingestion batches.
    pub ingestion_bucket: StoragePath,
    /// AWS role that an ingestor without an AWS account assumes to write there; never empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingestion_identity: Option<String>,
    /// Where the peer writes validation batches.
    pub peer_validation_bucket: StoragePath,
    /// AWS role that the peer assumes to write there; never empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_validation_identity: Option<String>,
    /// Every key with which this processor may sign batches.
    pub batch_signing_public_keys: BTreeMap<KeyId, BatchSigningPublicKey>,
    /// The keys to which clients encrypt; ENPA publishes exactly one.
    pub packet_encryption_keys: BTreeMap<KeyId, PacketEncryptionKey>,
}

impl ProcessorManifest {
    /// Format numbers that are read.
    pub const FORMATS: &'static [u64] = &[1, 2];

    /// Reads the bytes of `document`.
    ///
    /// # Errors
    /// [`ManifestError`] for anything but exactly this format in at most `limit` bytes.
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

    /// The bytes to publish.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        to_bytes(self)
    }
}

/// A required storage path.
pub(super) fn storage_path(object: &mut Object<'_>, key: &str) -> Result<StoragePath, ManifestError> {
    object.text(key)?.parse().map_err(|error| object.bad_value(key, error))
}

/// An optional AWS role: absent and empty are the same, null is an error (the predecessor's reader fails on it).
fn aws_role(object: &mut Object<'_>, key: &str) -> Result<Option<String>, ManifestError> {
    Ok(object.text_if_there(key)?.filter(|role| !role.is_empty()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
