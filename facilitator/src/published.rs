//! Recognises batches that an earlier run of this processor has published.

use crate::error::Error;
use tallybox_model::avro::FileLimits;
use tallybox_model::digest::Digest;
use tallybox_model::path::BatchObjects;
use tallybox_transport::batch::{BatchError, SignedBatch, TrustedKeys};
use tallybox_transport::{Bucket, BucketError};

/// Returns whether a mailbox contains a batch of this processor under these names: one of its
/// signatures over exactly this header. `own` are the keys of this processor.
///
/// # Errors
/// [`Error::Bucket`] if the mailbox cannot be reached.
pub(crate) async fn has_published(
    own: &TrustedKeys,
    bucket: &dyn Bucket,
    objects: &BatchObjects,
    header: Digest,
) -> Result<bool, Error> {
    match SignedBatch::open(bucket, objects.clone(), own, &FileLimits::default()).await {
        Ok(batch) => Ok(batch.header_digest() == header),
        // Missing, unreadable, or signed by another party: the later attempt to create the object
        // finds the conflict, if there is one.
        Err(BatchError::Bucket(error @ BucketError::Unavailable { .. })) => Err(error.into()),
        Err(_) => Ok(false),
    }
}
