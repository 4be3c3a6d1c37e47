//! A bucket as specified in a configuration file.

use std::path::Path;

use serde::Deserialize;

use crate::{BucketError, BucketSettings, BucketUrl, SharedBucket, open};

/// The location of a bucket: its URL alone, or its URL with settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum BucketPlace {
    /// The URL or directory.
    Url(String),
    /// The URL with endpoint and credentials.
    WithSettings(Box<BucketWithSettings>),
}

/// A bucket's URL with its settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BucketWithSettings {
    /// The URL or directory.
    pub url: String,
    /// Endpoint and credentials.
    #[serde(default)]
    pub settings: BucketSettings,
}

impl BucketPlace {
    /// Returns the URL and the settings.
    #[must_use]
    pub fn parts(&self) -> (&str, BucketSettings) {
        match self {
            Self::Url(url) => (url, BucketSettings::default()),
            Self::WithSettings(with) => (&with.url, with.settings.clone()),
        }
    }

    /// Opens the bucket. Relative paths are relative to `directory`.
    ///
    /// # Errors
    /// Those of [`open`], and [`BucketError::InvalidUrl`].
    pub fn open(&self, directory: &Path) -> Result<SharedBucket, BucketError> {
        let (url, settings) = self.parts();
        let url = BucketUrl::parse(url, directory)?;
        open(&url, &settings.relative_to(directory))
    }
}
