//! Publishes built batches to both mailboxes: the list that fixes them first, then packets, header
//! and signature.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tallybox_model::avro::{FileLimits, decode_one, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::marker::{ENCODER_GENERATION, sync_marker};
use tallybox_model::path::BatchObjects;
use tallybox_model::signature::BatchSignature;
use tallybox_model::spool::BatchList;
use tallybox_transport::{Bucket, BucketError, Published, SharedBucket, publish_bytes, read_all};

use super::build::{BuiltBatch, BuiltSide, encode_fault};
use super::retry::{RetryingBucket, retry};
use crate::error::Error;
use crate::ingestor::{Ingestor, Locality};

/// Most batches that are written at the same time.
const CONCURRENT_WRITES: usize = 4;
/// Most bytes of a list.
const LIST_LIMIT: u64 = 64 << 20;
/// Most bytes of a signature object.
const SIGNATURE_LIMIT: u64 = 64 << 10;

/// Fixes the batches that will be published. An existing list has to be equal.
pub(super) async fn fix(ingestor: &Ingestor, object: &str, list: &BatchList) -> Result<(), Error> {
    let spool = RetryingBucket::spool(ingestor);
    let bytes =
        serde_json::to_vec(list).map_err(|error| Error::Internal(format!("{object}: {error}")))?;
    let conflict = match spool.create(object, &bytes).await {
        Ok(_) => return Ok(()),
        Err(error @ BucketError::Conflict { .. }) => error,
        Err(error) => return Err(error.into()),
    };
    let existing = read_list(ingestor, object).await?;
    if existing.generation != list.generation {
        return Err(Error::Generation {
            object: object.to_owned(),
            ours: list.generation,
            theirs: existing.generation,
        });
    }
    Err(conflict.into())
}

/// Reads the list that fixes a partition's batches.
pub(super) async fn read_list(ingestor: &Ingestor, object: &str) -> Result<BatchList, Error> {
    let spool = RetryingBucket::spool(ingestor);
    let existing = spool.record(object, LIST_LIMIT).await?;
    let existing = existing.ok_or_else(|| spool.missing(object))?;
    BatchList::parse(&existing).map_err(|problem| Error::Damaged {
        object: object.to_owned(),
        problem,
    })
}

/// The processors to write to, by their index.
pub(super) type Sides = [bool; 2];
/// Both processors.
pub(super) const BOTH_SIDES: Sides = [true; 2];

/// The result of writing an object to a mailbox.
#[derive(Debug)]
pub(super) struct WrittenObject {
    /// Index of the processor that owns the mailbox.
    pub(super) side: usize,
    pub(super) object: String,
    pub(super) published: Published,
}

/// Publishes batches to the mailboxes, several at a time. On success every object has been written,
/// or its mailbox reports that it exists.
pub(super) async fn publish(
    ingestor: &Ingestor,
    locality: &Locality,
    batches: &[BuiltBatch],
    to_sides: Sides,
) -> Result<Vec<WrittenObject>, Error> {
    let sides = batches.iter().flat_map(|batch| {
        let mailboxes = locality.mailboxes.iter().zip(&batch.sides).enumerate();
        mailboxes
            .filter(|(side, _)| to_sides[*side])
            .map(|(side, (mailbox, built))| (batch.name.ingestion(), side, mailbox, built))
    });
    let write_batch =
        |(name, side, mailbox, built): (BatchObjects, usize, &SharedBucket, &BuiltSide)| {
            let (mailbox, packets, header) = (
                Arc::clone(mailbox),
                built.packets.clone(),
                built.header.clone(),
            );
            async move {
                let mailbox = &*mailbox;
                let tries = ingestor.batches.write_tries;
                // The signature is written last: a batch without it does not exist for the processor.
                let packets = write(tries, mailbox, &name.packets, packets).await?;
                let first = write(tries, mailbox, &name.header, header.clone()).await?;
                let signature = sign(ingestor, mailbox, &name.signature, &header).await?;
                let objects = [
                    (name.packets, packets),
                    (name.header, first),
                    (name.signature, signature),
                ];
                Ok::<_, Error>(objects.map(|(object, published)| WrittenObject {
                    side,
                    object,
                    published,
                }))
            }
        };
    // The futures are collected first, so that the borrows of the closure end before they run.
    let work: Vec<_> = sides.map(write_batch).collect();
    let written: Vec<[WrittenObject; 3]> = stream::iter(work)
        .buffer_unordered(CONCURRENT_WRITES)
        .try_collect()
        .await?;
    Ok(written.into_iter().flatten().collect())
}

/// Writes an object to a mailbox. The bytes have been fixed before, so an object that exists in a
/// mailbox that the ingestor may not read counts as equal.
async fn write(
    tries: u32,
    mailbox: &dyn Bucket,
    object: &str,
    bytes: Bytes,
) -> Result<Published, Error> {
    Ok(retry(tries, || {
        publish_bytes(mailbox, object, bytes.clone(), true)
    })
    .await?)
}

/// Writes the signature object.
///
/// Another signature may exist already if a key signs with a new nonce each time, or if the key has
/// changed since an interrupted run. A signature over the same header that verifies with the
/// signing key or with another key of the manifest is accepted.
async fn sign(
    ingestor: &Ingestor,
    mailbox: &dyn Bucket,
    object: &str,
    header: &[u8],
) -> Result<Published, Error> {
    let signer = &*ingestor.signer;
    let record = BatchSignature {
        batch_header_signature: signer.sign(header).await?,
        key_identifier: signer.key_id().to_owned(),
        batch_header: None,
        packets: None,
    };
    let marker = sync_marker(ENCODER_GENERATION, object, &[Digest::sha256(header)]);
    let bytes = encode_one(&record, marker).map_err(|source| encode_fault(object, source))?;
    let conflict = match write(ingestor.batches.write_tries, mailbox, object, bytes.into()).await {
        Err(error @ Error::Bucket(BucketError::Conflict { .. })) => error,
        done => return done,
    };
    let existing = read_all(mailbox, object, SIGNATURE_LIMIT).await?;
    let verifies =
        decode_one::<BatchSignature>(&existing, &FileLimits::default()).is_ok_and(|existing| {
            // An earlier run may have signed with the previous key.
            let own = signer.verifying_key();
            let others = ingestor.other_public_keys.values();
            let mut keys = std::iter::once(&own).chain(others);
            keys.any(|key| key.verify(header, &existing.batch_header_signature).is_ok())
        });
    if verifies {
        Ok(Published::Same)
    } else {
        Err(conflict)
    }
}
