//! Opening a bucket from a location and settings.

use std::sync::Arc;

use crate::url::Location;
use crate::{BucketError, BucketSettings, BucketUrl, LocalBucket, SharedBucket, cloud, memory};

/// Opens a bucket. No request is made yet: the first operation shows whether the bucket exists and
/// grants access. A local directory that does not exist is an empty bucket, which the first write
/// creates. Each opening of a `memory:` location creates another bucket.
///
/// # Errors
/// [`BucketError::InvalidSettings`] if the settings do not fit the kind of bucket or a file that
/// they name cannot be read; [`BucketError::FeatureMissing`] if this build lacks the cloud.
pub fn open(location: &BucketUrl, settings: &BucketSettings) -> Result<SharedBucket, BucketError> {
    match &location.0 {
        Location::Local { directory } => {
            settings.only(&location.to_string(), &[])?;
            Ok(Arc::new(LocalBucket::new(directory)))
        }
        Location::Memory { name } => {
            settings.only(&location.to_string(), &[])?;
            Ok(memory(name))
        }
        Location::S3 { .. } | Location::Gs { .. } | Location::Azure { .. } => {
            cloud::open(location, settings)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    fn open_text(text: &str, settings: &BucketSettings) -> Result<SharedBucket, BucketError> {
        open(
            &BucketUrl::parse(text, Path::new("/config")).unwrap(),
            settings,
        )
    }

    #[test]
    fn opening_touches_nothing() {
        let bucket = open_text("/nowhere/at/all", &BucketSettings::default()).unwrap();
        assert_eq!(bucket.location(), "/nowhere/at/all");
        assert!(bucket.stores_empty_objects());
        assert!(!Path::new("/nowhere").exists());
    }

    #[test]
    fn settings_of_a_cloud_do_not_fit_a_directory() {
        let settings = BucketSettings {
            region: Some("r".into()),
            ..BucketSettings::default()
        };
        for text in ["mailbox", "memory:"] {
            assert!(matches!(
                open_text(text, &settings),
                Err(BucketError::InvalidSettings { .. })
            ));
        }
    }

    #[test]
    #[cfg(not(any(feature = "aws", feature = "gcp", feature = "azure")))]
    fn a_build_without_the_cloud_says_which_feature_it_lacks() {
        for (text, wanted) in [
            ("s3://region/b", "aws"),
            ("gs://b", "gcp"),
            ("az://a/c", "azure"),
        ] {
            let error = open_text(text, &BucketSettings::default()).unwrap_err();
            assert!(
                matches!(error, BucketError::FeatureMissing { feature, .. } if feature == wanted)
            );
            assert!(
                error.to_string().contains(wanted) && error.to_string().contains(text),
                "{error}"
            );
        }
    }
}
