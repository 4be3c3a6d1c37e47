//! Whether what the name of an object says is signed: before that, nothing is listed under the name.
//!
//! Anybody who can write to a mailbox can make any name there. What a roster lists has a fate, in the end that it expires,
//! so a name alone must not bring a batch into a roster.

use crate::error::Error;
use crate::processor::Processor;
use serde::Deserialize;
use tallybox_model::avro::Record;
use tallybox_model::header::{IngestionHeader, ValidationHeader};
use tallybox_model::id::BatchId;
use tallybox_model::path::{BatchName, BatchObjects};
use tallybox_service::fault;
use tallybox_transport::batch::{BatchError, SignedBatch, TrustedKeys};
use tallybox_transport::{Bucket, BucketError};

/// How often a signature is read that does not verify: one bad read is no forgery.
const READS: usize = 2;

/// What the signature under a name is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// A key that we know has signed a header of this batch.
    Good,
    /// Signature or header are not there, or not any more.
    Missing,
    /// What is there does not belong under this name.
    Bad(String),
}

/// The ingestor's signature of a batch.
pub(super) async fn ingestion(processor: &Processor, name: &BatchName) -> Result<Signature, Error> {
    let bucket = &*processor.buckets.ingestion;
    let is_of = |header: &IngestionHeader| (header.batch_uuid, header.name.as_str()) == of(name);
    let mut signature = Signature::Missing;
    for _ in 0..READS {
        let look = open::<IngestionHeader>(processor, bucket, name.ingestion(), &processor.ingestor_keys);
        signature = judge(look.await, is_of)?;
        if !matches!(signature, Signature::Bad(_)) {
            break;
        }
    }
    Ok(signature)
}

/// The peer's signature of its validation of a batch.
pub(super) async fn validation(processor: &Processor, name: &BatchName) -> Result<Signature, Error> {
    let bucket = &*processor.buckets.peer_validation_in;
    let objects = name.validation(processor.role.peer());
    let is_of = |header: &ValidationHeader| (header.batch_uuid, header.name.as_str()) == of(name);
    let mut signature = Signature::Missing;
    for _ in 0..READS {
        let look = open::<ValidationHeader>(processor, bucket, objects.clone(), &processor.peer_keys);
        signature = judge(look.await, is_of)?;
        if !matches!(signature, Signature::Bad(_)) {
            break;
        }
    }
    Ok(signature)
}

fn of(name: &BatchName) -> (BatchId, &str) {
    (name.id, name.aggregation.as_str())
}

async fn open<H: Record + for<'a> Deserialize<'a>>(
    processor: &Processor,
    bucket: &dyn Bucket,
    objects: BatchObjects,
    keys: &TrustedKeys,
) -> Result<H, BatchError> {
    let batch = SignedBatch::open(bucket, objects, keys, &processor.limits).await?;
    batch.header()
}

fn judge<H>(opened: Result<H, BatchError>, is_of: impl FnOnce(&H) -> bool) -> Result<Signature, Error> {
    if fault::is_on("unsigned-listed") {
        return Ok(Signature::Good);
    }
    match opened {
        Ok(header) if is_of(&header) => Ok(Signature::Good),
        Ok(_) => Ok(Signature::Bad("its header is that of another batch".to_owned())),
        Err(BatchError::NotThere { .. } | BatchError::Incomplete { .. }) => Ok(Signature::Missing),
        Err(BatchError::Bucket(error)) if !matches!(error, BucketError::TooLarge { .. }) => Err(error.into()),
        Err(error) => Ok(Signature::Bad(error.to_string())),
    }
}
