//! From a location and settings to a bucket.

use std::sync::Arc;

use crate::url::Place;
use crate::{BucketError, BucketSettings, BucketUrl, LocalBucket, SharedBucket, cloud, memory};

/// Opens a bucket. Nothing is asked of it yet: whether it exists and lets us in shows with the first operation. A
/// local directory that does not exist is an empty bucket, made by the first write. Each opening of a `memory:`
/// location is another bucket.
///
/// [`BucketError::InvalidSettings`] if the settings do not fit the kind of bucket or a file they name cannot be read;
/// [`BucketError::FeatureMissing`] if this build lacks the cloud.
pub fn open(location: &BucketUrl, settings: &BucketSettings) -> Result<SharedBucket, BucketError> {
    match &location.0 {
        Place::Local { directory } => {
            settings.only(&location.to_string(), &[])?;
            Ok(Arc::new(LocalBucket::new(directory)))
        }
        Place::Memory { name } => {
            settings.only(&location.to_string(), &[])?;
            Ok(memory(name))
        }
        Place::S3 { .. } | Place::Gs { .. } | Place::Azure { .. } => cloud::open(location, settings),
    }
}
