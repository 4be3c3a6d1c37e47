//! Verifies the signature of an object before a roster lists the batch in its name.
//!
//! Any party that can write to a mailbox can create objects with arbitrary names. A listed batch
//! gets a final status in any case, at least that it expires. So a name alone must not put a batch
//! into a roster.

use super::store::RosterStore;
use crate::error::Error;
use serde::Deserialize;
use tallybox_model::avro::Record;
use tallybox_model::header::{IngestionHeader, ValidationHeader};
use tallybox_model::path::{BatchName, BatchObjects};
use tallybox_transport::batch::{BatchError, SignedBatch, TrustedKeys};
use tallybox_transport::{Bucket, BucketError};

/// The number of attempts for a signature that does not verify, because a single bad read is not
/// evidence of a forgery.
const READ_ATTEMPTS: usize = 2;

/// The result of the verification of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// A known key has signed a header of this batch.
    Good,
    /// The signature or the header does not exist, or no longer exists.
    Missing,
    /// The object does not belong to its name.
    Bad(String),
}

/// Verifies the ingestor's signature of a batch.
pub(super) async fn ingestion(
    store: &RosterStore<'_>,
    name: &BatchName,
) -> Result<Signature, Error> {
    let bucket = &*store.processor.buckets.ingestion;
    let keys = &store.processor.keys.ingestor;
    let is_of = |header: &IngestionHeader| {
        (header.batch_uuid, header.name.as_str()) == (name.id, name.aggregation.as_str())
    };
    verify(store, bucket, &name.ingestion(), keys, is_of).await
}

/// Verifies the peer's signature of its validation batch.
pub(super) async fn validation(
    store: &RosterStore<'_>,
    name: &BatchName,
) -> Result<Signature, Error> {
    let bucket = &*store.processor.buckets.peer_validation_in;
    let keys = &store.processor.keys.peer;
    let objects = name.validation(store.processor.buckets.role.peer());
    let is_of = |header: &ValidationHeader| {
        (header.batch_uuid, header.name.as_str()) == (name.id, name.aggregation.as_str())
    };
    verify(store, bucket, &objects, keys, is_of).await
}

async fn verify<H: Record + for<'a> Deserialize<'a>>(
    store: &RosterStore<'_>,
    bucket: &dyn Bucket,
    objects: &BatchObjects,
    keys: &TrustedKeys,
    is_of: impl Fn(&H) -> bool,
) -> Result<Signature, Error> {
    let limits = &store.processor.limits.files;
    let mut signature = Signature::Missing;
    for _ in 0..READ_ATTEMPTS {
        let opened = SignedBatch::open(bucket, objects.clone(), keys, limits).await;
        signature = judge(opened.and_then(|batch| batch.header()), &is_of)?;
        if !matches!(signature, Signature::Bad(_)) {
            break;
        }
    }
    Ok(signature)
}

fn judge<H>(
    opened: Result<H, BatchError>,
    is_of: impl FnOnce(&H) -> bool,
) -> Result<Signature, Error> {
    match opened {
        Ok(header) if is_of(&header) => Ok(Signature::Good),
        Ok(_) => Ok(Signature::Bad(
            "the header belongs to another batch".to_owned(),
        )),
        Err(BatchError::NotThere { .. } | BatchError::Incomplete { .. }) => Ok(Signature::Missing),
        Err(BatchError::Bucket(error)) if !matches!(error, BucketError::TooLarge { .. }) => {
            Err(error.into())
        }
        Err(error) => Ok(Signature::Bad(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(error: BucketError) -> Option<Signature> {
        judge::<()>(Err(BatchError::Bucket(error)), |()| true).ok()
    }

    #[test]
    fn an_object_that_is_too_large_is_bad_and_a_failed_read_proves_nothing() {
        let (key, bucket) = ("key".to_owned(), "mailbox".to_owned());
        let too_large = BucketError::TooLarge {
            key: key.clone(),
            bucket: bucket.clone(),
            limit: 1,
        };
        assert!(matches!(judged(too_large), Some(Signature::Bad(_))));
        let unavailable = BucketError::Unavailable {
            key,
            bucket,
            source: "timeout".into(),
        };
        assert_eq!(judged(unavailable), None);
    }

    #[test]
    fn a_header_of_another_batch_is_bad() {
        for is_of in [true, false] {
            let signature = judge(Ok(()), |()| is_of).ok();
            assert_eq!(signature == Some(Signature::Good), is_of);
        }
    }
}
