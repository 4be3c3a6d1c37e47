//! Prepared batches in the own bucket.

use super::pins::{self, owner};
use crate::buckets::Buckets;
use crate::error::Error;
use crate::prepared::PreparedReader;
use crate::processor::Processor;
use bytes::Bytes;
use tallybox_crypto::SealingKey;
use tallybox_model::path::BatchName;

/// Returns the prepared batch of an earlier intake of this batch, if there is one.
///
/// # Errors
/// [`Error::Prepared`]; [`Error::PinContradicted`], [`Error::PinMissing`] or [`Error::KeyMisused`]
/// if the pin or the file of a packet key differs from what the prepared batch records.
pub async fn find_prepared(
    processor: &Processor,
    name: &BatchName,
) -> Result<Option<PreparedReader>, Error> {
    let found = open_prepared(processor, name).await?;
    if let Some(prepared) = &found {
        pins::agree(processor, prepared.object(), prepared.footer()).await?;
    }
    Ok(found)
}

pub(super) async fn open_prepared(
    processor: &Processor,
    name: &BatchName,
) -> Result<Option<PreparedReader>, Error> {
    for key in &processor.keys.sealing {
        if let Some(bytes) = processor
            .resources
            .cache
            .prepared_batch(&name.prepared(&key.id()))
        {
            return Ok(Some(
                prepared_from_bytes(&processor.buckets, key, name, bytes).await?,
            ));
        }
    }
    let owner = owner(&processor.buckets);
    let found =
        PreparedReader::open(&processor.buckets.own, owner, &processor.keys.sealing, name).await?;
    if let Some((object, bytes)) = found.as_ref().and_then(PreparedReader::whole) {
        processor.resources.cache.store_prepared(object, bytes);
    }
    Ok(found)
}

/// Opens a prepared batch from its cached bytes.
pub(super) async fn prepared_from_bytes(
    buckets: &Buckets,
    key: &SealingKey,
    name: &BatchName,
    bytes: Bytes,
) -> Result<PreparedReader, Error> {
    let owner = owner(buckets);
    Ok(PreparedReader::from_bytes(&buckets.own, owner, key, name, bytes).await?)
}
