//! Decides on a batch for our roster: writes its verdict, or finds the reason for which it cannot be
//! summed.

use super::store::{RosterStore, VerdictsWriter};
use crate::error::Error;
use crate::intake::find_or_prepare;
use crate::prepared::PreparedError;
use crate::progress::ProgressCallback;
use crate::reason::PacketReason;
use crate::sealed::SealedError;
use crate::sum::join_peer;
use crate::wear;
use tallybox_model::path::BatchName;
use tallybox_model::roster::{Claim, OpenReason};
use tallybox_transport::BucketError;
use tallybox_transport::batch::BatchError;

/// Writes the verdict of a batch, or returns the reason for which there is none.
pub(super) async fn judge(
    store: &RosterStore<'_>,
    writer: &mut VerdictsWriter,
    batch: &BatchName,
    has_validation: bool,
    callback: &ProgressCallback,
) -> Result<Option<OpenReason>, Error> {
    let processor = store.processor;
    // A batch that has not been processed yet is processed now, so that the roster states its
    // problem.
    let prepared = match find_or_prepare(processor, batch, false).await {
        Ok(prepared) => prepared,
        Err(error) => return reason_of_ours(error).map(Some),
    };
    if !has_validation {
        return Ok(Some(OpenReason::NoValidation));
    }
    let parameters = prepared.footer().parameters.clone();
    let keys = prepared.footer().keys.clone();
    let joined = match join_peer(processor, batch, prepared, callback).await {
        Ok(joined) => joined,
        Err(error) => return reason_of_peer(error).map(Some),
    };
    let (result, mut accepted) = match joined.judge(processor.buckets.role, |_| false).await {
        Ok(judged) => judged,
        Err(error) => return reason_of_ours(error).map(Some),
    };
    let failed = result.rejections.count(PacketReason::InvalidProof);
    wear::count(
        &processor.buckets,
        &processor.resources,
        &result.name,
        failed,
        &keys,
    )
    .await?;
    if result.accepted == 0 {
        return Ok(Some(OpenReason::NoAcceptedPacket));
    }
    accepted.sort_unstable();
    let claim = Claim {
        parameters,
        accepted: result.accepted,
        digest: Claim::digest_of(&accepted),
    };
    writer.judged(&result, &accepted, claim).await?;
    Ok(None)
}

/// Returns the reason for which we have no prepared batch. An error that proves nothing about the
/// batch is returned as an error.
fn reason_of_ours(error: Error) -> Result<OpenReason, Error> {
    Ok(match error {
        Error::Batch(BatchError::NotThere { .. }) => OpenReason::NoIngestion,
        Error::Batch(BatchError::Incomplete { .. }) | Error::NoKey { .. } => OpenReason::NotTakenIn,
        Error::WrongKey { .. } => OpenReason::WrongKey,
        Error::Copied { .. } => OpenReason::Copied,
        Error::Prepared(PreparedError(SealedError::Bucket(_))) => return Err(error),
        Error::Generation { .. }
        | Error::PinContradicted { .. }
        | Error::Bucket(BucketError::Conflict { .. })
        | Error::Prepared(_) => OpenReason::Conflict,
        Error::Batch(BatchError::Bucket(BucketError::Conflict { .. })) => OpenReason::Conflict,
        Error::Batch(BatchError::Bucket(BucketError::TooLarge { .. })) => OpenReason::BadIngestion,
        Error::Batch(BatchError::Bucket(_)) => return Err(error),
        Error::Batch(_) | Error::Header { .. } | Error::Bins { .. } | Error::EmptyBatch { .. } => {
            OpenReason::BadIngestion
        }
        other => return Err(other),
    })
}

/// Returns the reason for which the peer's validation batch cannot be used.
fn reason_of_peer(error: Error) -> Result<OpenReason, Error> {
    Ok(match error {
        Error::Batch(BatchError::NotThere { .. } | BatchError::Incomplete { .. }) => {
            OpenReason::NoValidation
        }
        Error::Batch(BatchError::Bucket(BucketError::TooLarge { .. })) => OpenReason::BadValidation,
        Error::Batch(BatchError::Bucket(_)) => return Err(error),
        Error::Batch(_) | Error::Header { .. } | Error::TooManyMessages { .. } => {
            OpenReason::BadValidation
        }
        other => return Err(other),
    })
}
