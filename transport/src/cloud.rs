//! Buckets in the clouds, each behind the cargo feature of its name.
//!
//! All are `object_store`'s, with one retry policy. S3 creates with `If-None-Match`, GCS with a generation, Azure with an
//! ETag condition; only an answer that says that the object exists counts as that (`store/answer.rs`). Some servers that
//! speak S3 ignore the condition and overwrite: objects that must not change are fixed in our own bucket before they are
//! published, so what such a server overwrites is the same bytes.
#![cfg_attr(
    not(any(feature = "aws", feature = "gcp", feature = "azure")),
    allow(unused_variables)
)]

use crate::url::Place;
use crate::{BucketError, BucketSettings, BucketUrl, SharedBucket};

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "azure")]
mod azure;
#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
mod common;
#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
mod contact;
#[cfg(feature = "gcp")]
mod gcp;
#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
mod noting;

/// Opens a bucket in a cloud.
pub(crate) fn open(location: &BucketUrl, settings: &BucketSettings) -> Result<SharedBucket, BucketError> {
    let missing = |feature| {
        Err(BucketError::FeatureMissing {
            bucket: location.to_string(),
            feature,
        })
    };
    match &location.0 {
        #[cfg(feature = "aws")]
        Place::S3 { region, bucket, prefix } => aws::open(location, (region, bucket, prefix), settings),
        #[cfg(not(feature = "aws"))]
        Place::S3 { .. } => missing("aws"),
        #[cfg(feature = "gcp")]
        Place::Gs { bucket, prefix } => gcp::open(location, (bucket, prefix), settings),
        #[cfg(not(feature = "gcp"))]
        Place::Gs { .. } => missing("gcp"),
        #[cfg(feature = "azure")]
        Place::Azure {
            account,
            container,
            prefix,
        } => azure::open(location, (account, container, prefix), settings),
        #[cfg(not(feature = "azure"))]
        Place::Azure { .. } => missing("azure"),
        // The caller opens these itself.
        Place::Local { .. } | Place::Memory { .. } => missing("none"),
    }
}

#[cfg(all(test, any(feature = "aws", feature = "gcp", feature = "azure")))]
mod tests;
