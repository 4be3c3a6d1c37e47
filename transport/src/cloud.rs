//! Buckets in the clouds, each behind the cargo feature of its name.
//!
//! All clouds use `object_store` with the same retry policy. S3 creates objects with
//! `If-None-Match`, GCS with a generation and Azure with an ETag condition. Only a response that
//! states that the object exists counts as such (`store/answer.rs`). Some servers with the S3
//! protocol ignore the condition and overwrite the object. Objects that must not change are fixed
//! in the processor's own bucket before they are published, so such a server overwrites them with
//! the same bytes.
#![cfg_attr(
    not(any(feature = "aws", feature = "gcp", feature = "azure")),
    allow(unused_variables)
)]

use crate::url::Location;
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
pub(crate) fn open(
    location: &BucketUrl,
    settings: &BucketSettings,
) -> Result<SharedBucket, BucketError> {
    let missing = |feature| {
        Err(BucketError::FeatureMissing {
            bucket: location.to_string(),
            feature,
        })
    };
    match &location.0 {
        #[cfg(feature = "aws")]
        Location::S3 {
            region,
            bucket,
            prefix,
        } => aws::open(location, (region, bucket, prefix), settings),
        #[cfg(not(feature = "aws"))]
        Location::S3 { .. } => missing("aws"),
        #[cfg(feature = "gcp")]
        Location::Gs { bucket, prefix } => gcp::open(location, (bucket, prefix), settings),
        #[cfg(not(feature = "gcp"))]
        Location::Gs { .. } => missing("gcp"),
        #[cfg(feature = "azure")]
        Location::Azure {
            account,
            container,
            prefix,
        } => azure::open(location, (account, container, prefix), settings),
        #[cfg(not(feature = "azure"))]
        Location::Azure { .. } => missing("azure"),
        // The caller opens these kinds without this module.
        Location::Local { .. } | Location::Memory { .. } => missing("none"),
    }
}

#[cfg(all(test, any(feature = "aws", feature = "gcp", feature = "azure")))]
mod tests;
