//! The bytes of batches: for both processors, packets in their order and the headers over them.

use std::sync::Arc;

use bytes::Bytes;
use rayon::prelude::*;
use tallybox_crypto::IngestorSecret;
use tallybox_model::avro::{AvroError, ContainerWriter, Record, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::header::IngestionHeader;
use tallybox_model::id::{AggregationId, BatchId, PacketId};
use tallybox_model::marker::{ENCODER_GENERATION, sync_marker};
use tallybox_model::packet::DataSharePacket;
use tallybox_model::path::BatchName;
use tallybox_model::spool::{FixedObject, ListedBatch};
use tallybox_transport::batch::BatchError;
use uuid::fmt::Hyphenated;

use super::cut::{CutBatch, file_bytes};
use super::index::{Index, blocking, damaged, each_slab};
use super::plan_log::FixedPlan;
use super::record::WindowBatch;
use super::retry::RetryingBucket;
use crate::error::Error;

/// The bytes of a batch for both processors.
#[derive(Debug)]
pub(super) struct BuiltBatch {
    pub(super) name: BatchName,
    /// The objects for each processor, in order of the processors' index.
    pub(super) sides: Vec<BuiltSide>,
    pub(super) packets: u64,
}

/// The objects of a batch for one processor, without the signature.
#[derive(Debug)]
pub(super) struct BuiltSide {
    pub(super) packets: Bytes,
    pub(super) header: Bytes,
    /// Lengths and digests of packet file and header.
    pub(super) fixed: [FixedObject; 2],
}

impl BuiltBatch {
    /// Returns the entry that fixes the batch before it is published.
    pub(super) fn listed(&self, key_ids: [String; 2]) -> ListedBatch {
        ListedBatch {
            aggregation: self.name.aggregation.clone(),
            id: self.name.id,
            packets: self.packets,
            key_ids,
            objects: self.sides.iter().map(|side| side.fixed).collect(),
        }
    }
}

/// All inputs that determine the bytes of a window's batches.
pub(super) struct Builder {
    pub(super) plan: FixedPlan,
    pub(super) secret: IngestorSecret,
    pub(super) index: Arc<Index>,
    /// The evaluation point of each group.
    pub(super) points: Vec<i64>,
}

/// The sealed shares of some reports of one slab, in one buffer.
#[derive(Default)]
struct Shares {
    bytes: Vec<u8>,
    /// Start of the first share, start of the second, and end of the second, for each report.
    bounds: Vec<[usize; 3]>,
}

/// The sealed shares of batches, as read from the slabs.
struct Gathered {
    slabs: Vec<Shares>,
    /// For each batch and each of its packets: the slab, and the position among its shares.
    positions: Vec<Vec<(u32, u32)>>,
}

/// The destination of a slab's report: record in the slab, batch, and packet of the batch.
type Destination = (u32, u32, u32);

impl Builder {
    /// Builds some batches: reads the slabs again, keeps the reports of these batches, and encodes
    /// on all cores.
    pub(super) async fn build(
        self: &Arc<Self>,
        spool: RetryingBucket<'_>,
        batches: &[CutBatch],
    ) -> Result<Vec<BuiltBatch>, Error> {
        let lists = batches.iter().map(|batch| batch.entries.as_slice());
        let gathered = self.gather(spool, lists).await?;
        let (builder, batches) = (Arc::clone(self), batches.to_vec());
        let encode = move || {
            let pairs = batches.par_iter().zip(&gathered.positions);
            pairs
                .map(|(batch, positions)| builder.encode(batch, positions, &gathered.slabs))
                .collect()
        };
        blocking(encode).await
    }

    /// Gathers the packets of lists of entries, in their order.
    async fn gather<'e>(
        self: &Arc<Self>,
        spool: RetryingBucket<'_>,
        lists: impl Iterator<Item = &'e [u32]> + Clone,
    ) -> Result<Gathered, Error> {
        // Every entry is found: the index was made from the same slabs, which never change.
        let mut positions: Vec<Vec<(u32, u32)>> =
            lists.clone().map(|list| vec![(0, 0); list.len()]).collect();
        let wanted = self.wanted(lists);
        for (slab_wanted, slab) in wanted.iter().zip(0..) {
            for ((_, list, rank), position) in slab_wanted.iter().zip(0..) {
                positions[*list as usize][*rank as usize] = (slab, position);
            }
        }
        let keys: Vec<String> = self
            .plan
            .plan
            .slabs
            .iter()
            .map(|slab| slab.key.clone())
            .collect();
        let slabs = each_slab(spool, &self.plan.plan.slabs, move |slab_number, slab| {
            let mut shares = Shares::default();
            let mut wanted = wanted[slab_number].iter().peekable();
            for (report, position) in slab.reports().zip(0..) {
                let report = report.map_err(|error| damaged(&keys[slab_number], &error))?;
                if wanted.next_if(|wanted| wanted.0 == position).is_some() {
                    shares.push([report.payload_first, report.payload_second]);
                }
            }
            Ok(shares)
        });
        let slabs = slabs.await?;
        Ok(Gathered { slabs, positions })
    }

    /// Returns the reports that are needed from each slab of the plan, in the order of the slab's
    /// records.
    fn wanted<'e>(&self, lists: impl Iterator<Item = &'e [u32]>) -> Vec<Vec<Destination>> {
        let mut wanted = vec![Vec::new(); self.plan.plan.slabs.len()];
        for (list, number) in lists.zip(0..) {
            for (entry, rank) in list.iter().zip(0..) {
                let entry = &self.index.entries[*entry as usize];
                wanted[entry.slab as usize].push((entry.position, number, rank));
            }
        }
        wanted
            .iter_mut()
            .for_each(|slab_wanted| slab_wanted.sort_unstable());
        wanted
    }

    fn encode(
        &self,
        batch: &CutBatch,
        positions: &[(u32, u32)],
        slabs: &[Shares],
    ) -> Result<BuiltBatch, Error> {
        let name = BatchName {
            aggregation: self.aggregation(batch)?,
            date: self.plan.plan.date,
            id: self.batch_id(batch),
        };
        let sides = [0, 1].into_par_iter().map(|side| {
            let shares = positions
                .iter()
                .map(|(slab, position)| slabs[*slab as usize].share(*position, side));
            self.encode_side(batch, side, &name, shares)
        });
        Ok(BuiltBatch {
            sides: sides.collect::<Result<_, _>>()?,
            name,
            packets: batch.entries.len() as u64,
        })
    }

    /// Encodes the objects for one side, given its share of each packet.
    fn encode_side<'s>(
        &self,
        batch: &CutBatch,
        side: usize,
        name: &BatchName,
        shares: impl Iterator<Item = &'s [u8]>,
    ) -> Result<BuiltSide, Error> {
        let group = &self.index.groups[batch.group as usize];
        let objects = name.ingestion();
        let fault = |source| encode_fault(&objects.packets, source);
        let marker = sync_marker(ENCODER_GENERATION, &objects.packets, &[self.plan.digest]);
        let space = Vec::with_capacity(file_bytes(group, side, batch.entries.len()));
        let mut file = ContainerWriter::new(space, DataSharePacket::KIND, marker);
        for (entry, share) in batch.entries.iter().zip(shares) {
            let id = self.index.entries[*entry as usize].pseudonym.packet;
            let mut text = [0; Hyphenated::LENGTH];
            let packet = DataSharePacket {
                id: PacketId::from_bytes(id)
                    .0
                    .hyphenated()
                    .encode_lower(&mut text),
                encrypted_payload: share,
                encryption_key_id: Some(&group.key_ids[side]),
                r_pit: self.points[batch.group as usize],
                version_configuration: None,
                device_nonce: None,
            };
            file.append(&packet).map_err(fault)?;
        }
        let file = file.finish().map_err(fault)?;
        let window = &self.plan.plan.window;
        let times = (window.start().millis(), window.end().millis());
        let digest = Digest::sha256(&file);
        let header = IngestionHeader::new(name.id, group.parameters.clone(), times, digest);
        let marker = sync_marker(ENCODER_GENERATION, &objects.header, &[digest]);
        let header = encode_one(&header, marker).map_err(fault)?;
        let packets = FixedObject {
            size: file.len() as u64,
            sha256: digest,
        };
        Ok(BuiltSide {
            fixed: [packets, FixedObject::from_bytes(&header)],
            packets: file.into(),
            header: header.into(),
        })
    }

    /// Returns the record's entry for a batch.
    pub(super) fn window_batch(&self, batch: &CutBatch) -> Result<WindowBatch, Error> {
        Ok(WindowBatch {
            aggregation: self.aggregation(batch)?,
            id: self.batch_id(batch),
            packets: batch.entries.len() as u64,
        })
    }

    fn aggregation(&self, batch: &CutBatch) -> Result<AggregationId, Error> {
        let name = &self.index.groups[batch.group as usize].parameters.name;
        name.parse().map_err(|error| Error::Damaged {
            object: self.plan.plan.window.to_string(),
            problem: format!("{error}"),
        })
    }

    /// Derives the id of a batch from secret, plan, group, partition and ordinal, but never from
    /// its content.
    pub(super) fn batch_id(&self, batch: &CutBatch) -> BatchId {
        let group = &self.index.groups[batch.group as usize];
        let id = self.secret.batch(&[
            &self.plan.digest.0,
            &group.parameters.encode(),
            group.key_ids[0].as_bytes(),
            group.key_ids[1].as_bytes(),
            &batch.partition.to_be_bytes(),
            &batch.ordinal.to_be_bytes(),
        ]);
        BatchId::from_bytes(id)
    }
}

impl Shares {
    fn push(&mut self, shares: [&[u8]; 2]) {
        let start = self.bytes.len();
        let middle = start + shares[0].len();
        self.bytes.extend_from_slice(shares[0]);
        self.bytes.extend_from_slice(shares[1]);
        self.bounds.push([start, middle, self.bytes.len()]);
    }

    fn share(&self, position: u32, side: usize) -> &[u8] {
        let bounds = &self.bounds[position as usize];
        &self.bytes[bounds[side]..bounds[side + 1]]
    }
}

pub(super) fn encode_fault(object: &str, source: AvroError) -> Error {
    let object = object.to_owned();
    Error::Batch(BatchError::Encode { object, source })
}
