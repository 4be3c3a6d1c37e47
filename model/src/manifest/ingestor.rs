//! The manifest of an ingestor, for the whole server or for one locality.

use std::collections::BTreeMap;

use serde::Serialize;

use super::json::to_bytes;
use super::keys::batch_signing_keys;
use super::object::Object;
use super::{BatchSigningPublicKey, ManifestError};
use crate::id::KeyId;

/// The manifest of an ingestor: `global-manifest.json`, or one document for each locality.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct IngestorManifest {
    /// Format number, always 1.
    pub format: u64,
    /// The accounts under which the ingestor writes to the processors' buckets.
    pub server_identity: IngestorIdentity,
    /// All keys with which this ingestor may sign batches.
    pub batch_signing_public_keys: BTreeMap<KeyId, BatchSigningPublicKey>,
}

/// An ingestor's accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct IngestorIdentity {
    /// ARN of an AWS user or role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_iam_entity: Option<String>,
    /// Numeric id of a Google service account, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcp_service_account_id: Option<String>,
    /// Address of the Google service account.
    pub gcp_service_account_email: String,
}

impl IngestorManifest {
    /// The format numbers that are supported.
    pub const FORMATS: &'static [u64] = &[1];

    /// Parses the bytes of `document`.
    ///
    /// # Errors
    /// [`ManifestError`] if the bytes do not follow this format exactly, or exceed `limit`.
    pub fn parse(document: &str, bytes: &[u8], limit: usize) -> Result<Self, ManifestError> {
        let mut root = Object::root(document, bytes, limit)?;
        let format = root.format(Self::FORMATS)?;
        let mut identity = root.object("server-identity")?;
        let server_identity = IngestorIdentity {
            aws_iam_entity: identity.text_if_any("aws-iam-entity")?,
            gcp_service_account_id: identity.text_if_any("gcp-service-account-id")?,
            gcp_service_account_email: identity.text("gcp-service-account-email")?,
        };
        identity.finish()?;
        let batch_signing_public_keys = batch_signing_keys(&mut root)?;
        root.finish()?;
        Ok(Self {
            format,
            server_identity,
            batch_signing_public_keys,
        })
    }

    /// Serialises the manifest to the bytes to publish.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        to_bytes(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::manifest::DEFAULT_SIZE_LIMIT;

    const GOLDEN: &str = concat!(
        r#"{"format":1,"server-identity":{"aws-iam-entity":"arn:aws:iam::338276578713:role/ingestor","#,
        r#""gcp-service-account-id":"112233445566778899","gcp-service-account-email":"writer@example.org"},"#,
        r#""batch-signing-public-keys":{"key-1":{"public-key":"PEM 1","expiration":"20991231T235959Z"},"#,
        r#""key-2":{"public-key":"PEM 2","expiration":"2123-05-01T00:00:00Z"}}}"#,
    );

    fn parse(text: &str) -> Result<IngestorManifest, ManifestError> {
        IngestorManifest::parse("global-manifest.json", text.as_bytes(), DEFAULT_SIZE_LIMIT)
    }

    #[test]
    fn golden_bytes_both_ways() {
        let manifest = parse(GOLDEN).unwrap();
        assert_eq!(String::from_utf8(manifest.to_json()).unwrap(), GOLDEN);
        assert_eq!(
            manifest.batch_signing_public_keys["key-1"].public_key,
            "PEM 1"
        );
    }

    #[test]
    fn accounts_are_optional_but_the_address_is_not() {
        let short = r#"{"batch-signing-public-keys":{},"format":1,
            "server-identity":{"aws-iam-entity":null,"gcp-service-account-email":"a@example.org"}}"#;
        let manifest = parse(short).unwrap();
        assert_eq!(manifest.server_identity.aws_iam_entity, None);
        let error = parse(&short.replace("gcp-service-account-email", "email")).unwrap_err();
        let expected = "manifest global-manifest.json: key server-identity.gcp-service-account-email is missing";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn refuses_other_formats_and_keys() {
        for format in ["0", "2"] {
            let text = GOLDEN.replacen("\"format\":1", &format!("\"format\":{format}"), 1);
            assert!(matches!(
                parse(&text),
                Err(ManifestError::UnsupportedFormat { .. })
            ));
        }
        let twice = GOLDEN.replace("key-2", "key-1");
        let error = parse(&twice).unwrap_err().to_string();
        assert_eq!(
            error,
            "manifest global-manifest.json: key batch-signing-public-keys.key-1 is repeated"
        );
        let extra = GOLDEN.replace(
            "\"public-key\":\"PEM 2\"",
            "\"public-key\":\"PEM 2\",\"x\":1",
        );
        let error = parse(&extra).unwrap_err().to_string();
        assert_eq!(
            error,
            "manifest global-manifest.json: key batch-signing-public-keys.key-2.x is unknown"
        );
        let when = parse(&GOLDEN.replace("2123-05-01T00:00:00Z", "never"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            when,
            "manifest global-manifest.json: key batch-signing-public-keys.key-2.expiration"
        );
    }
}
