//! The result of one batch: which packets count, and their sum.

use super::join::Joined;
use crate::error::Error;
use crate::prepared::{ChunkKind, PreparedReader};
use crate::reason::{PacketReason, Rejections};
use tallybox_crypto::prio2::{Prio2, Sum};
use tallybox_model::digest::Digest;
use tallybox_model::header::ValidationHeader;
use tallybox_model::id::PacketId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_transport::batch::SignedBatch;
use zeroize::Zeroizing;

/// The contribution of one batch to a sum part.
#[derive(Debug)]
pub struct BatchResult {
    /// The batch.
    pub name: BatchName,
    /// Packets in the ingestion batch.
    pub packets: u64,
    /// Packets that count.
    pub accepted: u64,
    /// Packets for which both messages exist, valid or not; the predecessor counts these.
    pub both_messages: u64,
    /// The sum of this processor's shares of the packets that count.
    pub sum: Sum,
    /// The packets that do not count, except repetitions, with their reasons.
    pub invalid: Vec<(PacketId, PacketReason)>,
    /// The numbers of packets that do not count, by reason.
    pub rejections: Rejections,
    /// Digests of the ingestion header and of the peer's validation header.
    pub inputs: [Digest; 2],
}

/// Checks that the peer validated this batch under the same parameters.
pub(crate) fn check_header(
    name: &BatchName,
    validation: &SignedBatch,
    prepared: &PreparedReader,
) -> Result<ValidationHeader, Error> {
    let header: ValidationHeader = validation.header()?;
    let ours = &prepared.footer().parameters;
    let problem = if header.batch_uuid != name.id {
        format!(
            "the peer's validation header belongs to batch {}",
            header.batch_uuid
        )
    } else if !header.parameters().same(ours) {
        format!(
            "the peer's validation header has other parameters: {:?}, not {ours:?}",
            header.parameters()
        )
    } else {
        return Ok(header);
    };
    Err(Error::Header {
        batch: name.clone(),
        reason: "header-mismatch",
        problem,
    })
}

/// Computes the result, and returns it with the packets that count. `counted_before` returns
/// whether a packet counts in an earlier batch of the window.
pub(crate) async fn judge(
    name: &BatchName,
    role: Role,
    prio2: &Prio2,
    prepared: &PreparedReader,
    joined: Joined,
    inputs: [Digest; 2],
    counted_before: impl Fn(PacketId) -> bool,
) -> Result<(BatchResult, Vec<PacketId>), Error> {
    let footer = prepared.footer();
    let mut rejections = footer.rejections.clone();
    let mut invalid = Vec::new();
    let mut indices = Vec::new();
    let mut counted = Vec::with_capacity(joined.valid.len());
    for (index, id) in &joined.valid {
        if counted_before(*id) {
            rejections.add(PacketReason::DuplicateInWindow);
            indices.push(*index);
        } else {
            counted.push(*id);
        }
    }
    let lists = [
        (PacketReason::NoPeerMessage, &joined.no_peer_message),
        (PacketReason::BadPeerMessage, &joined.bad_peer_message),
        (PacketReason::InvalidProof, &joined.invalid_proof),
    ];
    for (reason, list) in lists {
        for (index, id) in list {
            rejections.add(reason);
            indices.push(*index);
            invalid.push((*id, reason));
        }
    }
    for chunk in prepared.chunks(ChunkKind::Rejects) {
        invalid.extend(prepared.rejects(chunk).await?);
    }
    indices.sort_unstable();
    let mut sum = Sum::from_values(prepared.sum().await?).map_err(|_| undecodable(prepared))?;
    if sum.values().len() != prio2.bins() {
        return Err(undecodable(prepared));
    }
    subtract(role, prio2, prepared, &indices, &mut sum).await?;
    let both_messages = joined.both_messages();
    let (packets, accepted) = (footer.packets, counted.len() as u64);
    let result = BatchResult {
        name: name.clone(),
        packets,
        accepted,
        both_messages,
        sum,
        invalid,
        rejections,
        inputs,
    };
    Ok((result, counted))
}

fn undecodable(prepared: &PreparedReader) -> Error {
    Error::Internal(format!(
        "{}: contains a share that does not decode",
        prepared.object()
    ))
}

/// Subtracts from a sum the shares of the packets at these positions, which have to be sorted.
pub(crate) async fn subtract(
    role: Role,
    prio2: &Prio2,
    prepared: &PreparedReader,
    indices: &[u64],
    sum: &mut Sum,
) -> Result<(), Error> {
    let mut elements = Zeroizing::new(Vec::new());
    let mut failed = false;
    let take_away = |share: &[u8]| match prio2.decode_data(role.index(), share, &mut elements) {
        Ok(()) => sum.subtract(&elements),
        Err(_) => failed = true,
    };
    prepared.shares(indices, take_away).await?;
    if failed {
        Err(undecodable(prepared))
    } else {
        Ok(())
    }
}
