//! The portal: verifies both sum parts of a window and adds them. It has access to sum parts only.

use std::collections::BTreeSet;

use tallybox_crypto::prio2::MODULUS;
use tallybox_model::avro::FileLimits;
use tallybox_model::header::SumPart;
use tallybox_model::id::{AggregationId, BatchId, Instance, PacketId};
use tallybox_model::packet::InvalidPacket;
use tallybox_model::path::SumPartName;
use tallybox_model::role::Role;
use tallybox_model::time::Window;
use tallybox_transport::SharedBucket;
use tallybox_transport::batch::{PacketStream, SignedBatch, TrustedKeys};

use crate::error::Error;
use crate::keys::signing_key_id;
use crate::layout::{BucketKind, INSTANCE};
use crate::world::World;

/// The sum of a window.
#[derive(Debug, Clone)]
pub struct Total {
    /// The batches that were summed.
    pub batches: Vec<BatchId>,
    /// Number of packets that were counted.
    pub accepted: u64,
    /// The two sum parts, one field element per bin. Each alone is indistinguishable from random
    /// numbers.
    pub parts: [Vec<i64>; 2],
    /// The sums, one per bin.
    pub sums: Vec<u64>,
    /// The packets that were not counted.
    pub invalid: BTreeSet<PacketId>,
}

/// The locations of sum parts, and the keys that verify them.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The instance.
    pub instance: Instance,
    /// The processors' mailboxes, in order of their index.
    pub mailboxes: [SharedBucket; 2],
    /// The keys that verify each processor's signatures.
    pub trusted: [TrustedKeys; 2],
}

/// Adds both sum parts of a window of a sandbox.
///
/// # Errors
/// As [`Parts::total`].
pub async fn total(
    world: &World,
    aggregation: &AggregationId,
    window: Window,
) -> Result<Total, Error> {
    Parts::open(world)?.total(aggregation, window).await
}

impl Parts {
    /// Returns the sum parts' locations and keys of a sandbox.
    ///
    /// # Errors
    /// Never in fact: the instance is a constant.
    pub fn open(world: &World) -> Result<Self, Error> {
        let trusted = |role: Role| {
            let key = world.keys.processors[role.index()].signing.verifying_key();
            TrustedKeys::from([(signing_key_id(role), key)])
        };
        Ok(Self {
            instance: INSTANCE.parse().map_err(|_| {
                Error::Internal("the sandbox's instance name is invalid".to_owned())
            })?,
            mailboxes: Role::ALL.map(|role| world.layout.bucket(BucketKind::Sum, role)),
            trusted: Role::ALL.map(trusted),
        })
    }

    /// Reads both processors' sum parts, verifies signatures and digests, checks that both parts
    /// cover the same packets, and adds them modulo the prime.
    ///
    /// # Errors
    /// [`Error::Batch`] if a sum part does not exist or does not verify; [`Error::Check`] if the
    /// two parts do not cover the same packets.
    pub async fn total(&self, aggregation: &AggregationId, window: Window) -> Result<Total, Error> {
        let (first, invalid) = self.read(aggregation, window, Role::First).await?;
        let (second, invalid_too) = self.read(aggregation, window, Role::Second).await?;
        let same = [
            ("batches", first.batch_uuids == second.batch_uuids),
            (
                "packet counts",
                first.total_individual_clients == second.total_individual_clients,
            ),
            ("parameters", first.parameters().same(&second.parameters())),
            ("lengths", first.sum.len() == second.sum.len()),
            ("invalid packets", invalid == invalid_too),
        ];
        if let Some((what, _)) = same.iter().find(|(_, same)| !same) {
            return Err(Error::Check(format!(
                "the two sum parts of {aggregation} differ in their {what}"
            )));
        }
        let sums = first.sum.iter().zip(&second.sum);
        let sums = sums.map(|(one, two)| (one + two).rem_euclid(i64::from(MODULUS)).unsigned_abs());
        Ok(Total {
            batches: first.batch_uuids.clone(),
            accepted: u64::try_from(first.total_individual_clients).unwrap_or(0),
            sums: sums.collect(),
            parts: [first.sum, second.sum],
            invalid,
        })
    }

    /// Returns the name of a processor's sum part.
    #[must_use]
    pub fn name(&self, aggregation: &AggregationId, window: Window, writer: Role) -> SumPartName {
        SumPartName {
            instance: self.instance.clone(),
            aggregation: aggregation.clone(),
            window,
            writer,
        }
    }

    /// Reads one processor's sum part, and the packets that it did not count.
    ///
    /// # Errors
    /// [`Error::Batch`] if the sum part does not exist or does not verify.
    pub async fn read(
        &self,
        aggregation: &AggregationId,
        window: Window,
        writer: Role,
    ) -> Result<(SumPart, BTreeSet<PacketId>), Error> {
        let name = self.name(aggregation, window, writer);
        let mailbox = &*self.mailboxes[writer.index()];
        let trusted = &self.trusted[writer.index()];
        let part =
            SignedBatch::open(mailbox, name.objects(), trusted, &FileLimits::default()).await?;
        let header: SumPart = part.header()?;
        let packets = part.packets(mailbox, header.packet_file_digest).await?;
        let reading = tokio::task::spawn_blocking(move || invalid(packets)).await;
        let invalid =
            reading.map_err(|error| Error::Internal(format!("reading {name}: {error}")))??;
        Ok((header, invalid))
    }
}

/// Reads the ids of the uncounted packets of a sum part, and verifies their digest at the end.
fn invalid(mut packets: PacketStream) -> Result<BTreeSet<PacketId>, Error> {
    let limits = packets.limits().clone();
    let mut ids = BTreeSet::new();
    while let Some(block) = packets.next_block()? {
        for record in block.records::<InvalidPacket>(&limits) {
            match record {
                Ok(InvalidPacket { id }) => ids.insert(id),
                Err(error) => return Err(packets.blame_record(error).into()),
            };
        }
    }
    packets.finish()?;
    Ok(ids)
}
