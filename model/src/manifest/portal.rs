//! The manifest of a portal: the buckets into which the two processors write their sum parts.

use serde::Serialize;

use super::json::to_bytes;
use super::object::Object;
use super::processor::storage_path;
use super::{ManifestError, StoragePath};
use crate::role::Role;

/// The `global-manifest.json` of a portal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PortalManifest {
    /// Format number, always 1.
    pub format: u64,
    /// The bucket into which the second processor, the facilitator, writes its sum parts.
    pub facilitator_sum_part_bucket: StoragePath,
    /// The bucket into which the first processor, the health authority's, writes its sum parts.
    pub pha_sum_part_bucket: StoragePath,
}

impl PortalManifest {
    /// The format numbers that are supported.
    pub const FORMATS: &'static [u64] = &[1];

    /// Parses the bytes of `document`.
    ///
    /// # Errors
    /// [`ManifestError`] if the bytes do not follow this format exactly, or exceed `limit`.
    pub fn parse(document: &str, bytes: &[u8], limit: usize) -> Result<Self, ManifestError> {
        let mut root = Object::root(document, bytes, limit)?;
        let manifest = Self {
            format: root.format(Self::FORMATS)?,
            facilitator_sum_part_bucket: storage_path(&mut root, "facilitator-sum-part-bucket")?,
            pha_sum_part_bucket: storage_path(&mut root, "pha-sum-part-bucket")?,
        };
        root.finish()?;
        Ok(manifest)
    }

    /// Returns the bucket into which a processor writes.
    #[must_use]
    pub fn sum_part_bucket(&self, writer: Role) -> &StoragePath {
        match writer {
            Role::First => &self.pha_sum_part_bucket,
            Role::Second => &self.facilitator_sum_part_bucket,
        }
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
        r#"{"format":1,"facilitator-sum-part-bucket":"gs://portal-facilitator","#,
        r#""pha-sum-part-bucket":"s3://us-east-2/portal-pha/sums"}"#,
    );

    fn parse(text: &str) -> Result<PortalManifest, ManifestError> {
        PortalManifest::parse("global-manifest.json", text.as_bytes(), DEFAULT_SIZE_LIMIT)
    }

    #[test]
    fn golden_bytes_both_ways() {
        let manifest = parse(GOLDEN).unwrap();
        assert_eq!(String::from_utf8(manifest.to_json()).unwrap(), GOLDEN);
        assert_eq!(
            manifest.sum_part_bucket(Role::First).as_str(),
            "s3://us-east-2/portal-pha/sums"
        );
        assert_eq!(
            manifest.sum_part_bucket(Role::Second).as_str(),
            "gs://portal-facilitator"
        );
    }

    #[test]
    fn names_the_key_that_is_wrong() {
        let error = parse(&GOLDEN.replace("s3://us-east-2", "s3://nowhere")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "manifest global-manifest.json: key pha-sum-part-bucket"
        );
        let error = parse(&GOLDEN.replace("pha-", "PHA-")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "manifest global-manifest.json: key pha-sum-part-bucket is missing"
        );
    }
}
