//! A batch with the verification messages of both processors.

use super::batch_result::{self, BatchResult};
use super::join::{self, Joined};
use crate::error::Error;
use crate::prepared::PreparedReader;
use crate::processor::Processor;
use crate::progress::ProgressCallback;
use std::sync::Arc;
use tallybox_crypto::prio2::Prio2;
use tallybox_model::cause::chain;
use tallybox_model::digest::Digest;
use tallybox_model::header::BatchParameters;
use tallybox_model::id::PacketId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_transport::BucketError;
use tallybox_transport::batch::{BatchError, SignedBatch};
use tokio_util::sync::CancellationToken;

/// A batch with the verification messages of both processors joined.
pub(crate) struct JoinedBatch {
    name: BatchName,
    prepared: Arc<PreparedReader>,
    prio2: Prio2,
    joined: Joined,
    inputs: [Digest; 2],
}

impl JoinedBatch {
    pub(crate) fn parameters(&self) -> &BatchParameters {
        &self.prepared.footer().parameters
    }

    pub(crate) fn packets(&self) -> u64 {
        self.prepared.footer().packets
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.prepared.footer().validation.packets.bytes
    }

    /// Returns the result of the batch, and the packets that count in it. `counted_before` returns
    /// whether a packet already counts in another batch.
    pub(crate) async fn judge(
        self,
        role: Role,
        counted_before: impl Fn(PacketId) -> bool,
    ) -> Result<(BatchResult, Vec<PacketId>), Error> {
        let Self {
            name,
            prepared,
            prio2,
            joined,
            inputs,
        } = self;
        batch_result::judge(
            &name,
            role,
            &prio2,
            &prepared,
            joined,
            inputs,
            counted_before,
        )
        .await
    }
}

/// Reads the peer's validation batch, and joins its messages with those of this processor. A batch
/// that does not verify is read a second time, because a single bad read is not evidence of a
/// forgery.
pub(crate) async fn join_peer(
    processor: &Arc<Processor>,
    name: &BatchName,
    prepared: PreparedReader,
    progress: &ProgressCallback,
) -> Result<JoinedBatch, Error> {
    let prepared = Arc::new(prepared);
    match join_once(processor, name, &prepared, progress).await {
        Err(error) if error.is_damage() => {
            tracing::warn!(
                error = chain(&error),
                "validation batch does not verify; reading it again"
            );
            join_once(processor, name, &prepared, progress).await
        }
        other => other,
    }
}

async fn join_once(
    processor: &Arc<Processor>,
    name: &BatchName,
    prepared: &Arc<PreparedReader>,
    progress: &ProgressCallback,
) -> Result<JoinedBatch, Error> {
    let peer = processor.buckets.role.peer();
    let bucket = &*processor.buckets.peer_validation_in;
    // The peer decides how many messages it sends; an honest peer sends at most one for each packet
    // of the batch.
    let most = prepared
        .footer()
        .packets
        .saturating_add(join::MOST_EXTRA_MESSAGES);
    let share = processor
        .resources
        .budget
        .take_memory(join::memory(most), progress)
        .await;
    let limits = processor.limits.files.for_messages(most);
    let too_many = |error: BatchError| match error {
        BatchError::Bucket(BucketError::TooLarge { key, .. }) => {
            Error::TooManyMessages { object: key, most }
        }
        other => other.into(),
    };
    let opened =
        SignedBatch::open(bucket, name.validation(peer), &processor.keys.peer, &limits).await;
    let validation = opened.map_err(too_many)?;
    let header = batch_result::check_header(name, &validation, prepared)?;
    let packets = validation.packets(bucket, header.packet_file_digest).await;
    let packets = packets.map_err(too_many)?;
    let bins = usize::try_from(prepared.footer().parameters.bins).unwrap_or(0);
    let prio2 = Prio2::new(bins).map_err(|source| Error::Bins {
        batch: name.clone(),
        source,
    })?;
    let runtime = tokio::runtime::Handle::current();
    let cancellation = CancellationToken::new();
    // Dropped with this future, which cancels the work on the blocking thread.
    let _cancel_on_drop = cancellation.clone().drop_guard();
    let ours = Arc::clone(prepared);
    let joining = tokio::task::spawn_blocking(move || {
        join::join(&ours, packets, most, &runtime, &cancellation)
    });
    let joined = joining
        .await
        .map_err(|error| Error::Internal(format!("batch {name}: aggregation failed: {error}")))??;
    drop(share);
    let inputs = [prepared.ingestion_header(), validation.header_digest()];
    Ok(JoinedBatch {
        name: name.clone(),
        prepared: Arc::clone(prepared),
        prio2,
        joined,
        inputs,
    })
}
