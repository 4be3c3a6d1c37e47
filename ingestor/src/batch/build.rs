//! The bytes of batches: packets in their order, for both processors, and the headers over them.

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

use super::chain::FixedPlan;
use super::cut::CutBatch;
use super::index::{Index, blocking, damaged, each_slab};
use super::patient::Patient;
use super::record::WindowBatch;
use crate::error::Error;

/// A batch as both processors get it, in bytes.
#[derive(Debug)]
pub(super) struct BuiltBatch {
    pub(super) name: BatchName,
    /// What each processor gets, in order of its index.
    pub(super) sides: Vec<BuiltSide>,
    pub(super) packets: u64,
}

/// The objects of a batch for one processor, but the signature.
#[derive(Debug)]
pub(super) struct BuiltSide {
    pub(super) packets: Bytes,
    pub(super) header: Bytes,
    /// Lengths and digests of both.
    pub(super) fixed: [FixedObject; 2],
}

impl BuiltBatch {
    /// What of it is fixed before it is published.
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

/// Everything that the bytes of a window's batches follow from.
pub(super) struct Builder {
    pub(super) plan: FixedPlan,
    pub(super) secret: IngestorSecret,
    pub(super) index: Arc<Index>,
    /// The point of each group.
    pub(super) points: Vec<i64>,
}

/// What the packets of a batch are made of, gathered from the slabs: all bytes in one piece, and where each is.
#[derive(Default)]
struct Raw {
    bytes: Vec<u8>,
    /// For each packet: its entry, and where its two sealed shares begin and end.
    packets: Vec<(u32, [usize; 3])>,
}

/// Where a report of a slab goes: which record, which batch, which packet of it.
type Wanted = (u32, u32, u32);

impl Builder {
    /// Builds some batches: reads the slabs once more, keeps what belongs to these batches, encodes on all cores.
    pub(super) async fn build(
        self: &Arc<Self>,
        spool: Patient<'_>,
        batches: &[CutBatch],
    ) -> Result<Vec<BuiltBatch>, Error> {
        let gathered = self
            .gather(spool, batches.iter().map(|batch| batch.entries.as_slice()))
            .await?;
        let (builder, batches) = (Arc::clone(self), batches.to_vec());
        let encode = move || {
            let pairs = batches.into_par_iter().zip(gathered);
            pairs.map(|(batch, packets)| builder.encode(&batch, &packets)).collect()
        };
        blocking(encode).await
    }

    /// The packets of lists of entries, in their order.
    async fn gather<'e>(
        self: &Arc<Self>,
        spool: Patient<'_>,
        lists: impl Iterator<Item = &'e [u32]> + Clone,
    ) -> Result<Vec<Raw>, Error> {
        let wanted = self.wanted(lists.clone());
        let keys: Vec<String> = self.plan.plan.slabs.iter().map(|slab| slab.key.clone()).collect();
        let parts = each_slab(spool, &self.plan.plan.slabs, move |place, slab| {
            let mut found = Raw::default();
            let mut at = Vec::new();
            let mut wanted = wanted[place].iter().peekable();
            for (report, position) in slab.reports().zip(0..) {
                let report = report.map_err(|error| damaged(&keys[place], &error))?;
                if let Some((_, list, rank)) = wanted.next_if(|wanted| wanted.0 == position) {
                    found.push(0, [report.payload_first, report.payload_second]);
                    at.push((*list, *rank));
                }
            }
            Ok((found, at))
        });
        let parts = parts.await?;
        let lists: Vec<Vec<u32>> = lists.map(<[u32]>::to_vec).collect();
        blocking(move || Ok(arrange(&parts, &lists))).await
    }

    /// For each slab of the plan, what is wanted of it, in the order of its records.
    fn wanted<'e>(&self, lists: impl Iterator<Item = &'e [u32]>) -> Vec<Vec<Wanted>> {
        let mut wanted = vec![Vec::new(); self.plan.plan.slabs.len()];
        for (list, number) in lists.zip(0..) {
            for (entry, rank) in list.iter().zip(0..) {
                let entry = &self.index.entries[*entry as usize];
                wanted[entry.slab as usize].push((entry.position, number, rank));
            }
        }
        wanted.iter_mut().for_each(|of_slab| of_slab.sort_unstable());
        wanted
    }

    fn encode(&self, batch: &CutBatch, raw: &Raw) -> Result<BuiltBatch, Error> {
        let group = &self.index.groups[batch.group as usize];
        let name = BatchName {
            aggregation: self.aggregation(batch)?,
            date: self.plan.plan.date,
            id: self.batch_id(batch),
        };
        let objects = name.ingestion();
        let fault = |source| encode_fault(&objects.packets, source);
        let mut sides = Vec::with_capacity(2);
        for side in 0..2 {
            let marker = sync_marker(ENCODER_GENERATION, &objects.packets, &[self.plan.digest]);
            let mut file = ContainerWriter::new(Vec::new(), DataSharePacket::KIND, marker);
            for (entry, bounds) in &raw.packets {
                let id = self.index.entries[*entry as usize].becomes.packet;
                let mut text = [0; Hyphenated::LENGTH];
                let packet = DataSharePacket {
                    id: PacketId::from_bytes(id).0.hyphenated().encode_lower(&mut text),
                    encrypted_payload: &raw.bytes[bounds[side]..bounds[side + 1]],
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
            let digest = Digest::of(&file);
            let header = IngestionHeader::new(name.id, group.parameters.clone(), times, digest);
            let marker = sync_marker(ENCODER_GENERATION, &objects.header, &[digest]);
            let header = encode_one(&header, marker).map_err(fault)?;
            let packets = FixedObject {
                size: file.len() as u64,
                sha256: digest,
            };
            sides.push(BuiltSide {
                fixed: [packets, FixedObject::of(&header)],
                packets: file.into(),
                header: header.into(),
            });
        }
        Ok(BuiltBatch {
            name,
            sides,
            packets: raw.packets.len() as u64,
        })
    }

    /// What the record says of a batch.
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

    /// Follows from secret, plan, group, partition and ordinal; never from the content.
    fn batch_id(&self, batch: &CutBatch) -> BatchId {
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

impl Raw {
    fn push(&mut self, entry: u32, payloads: [&[u8]; 2]) {
        let start = self.bytes.len();
        let middle = start + payloads[0].len();
        self.bytes.extend_from_slice(payloads[0]);
        self.bytes.extend_from_slice(payloads[1]);
        self.packets.push((entry, [start, middle, self.bytes.len()]));
    }

    fn payloads(&self, place: usize) -> [&[u8]; 2] {
        let (_, [start, middle, end]) = self.packets[place];
        [&self.bytes[start..middle], &self.bytes[middle..end]]
    }
}

/// From what each slab had to what each batch needs, in the order of its packets.
fn arrange(parts: &[(Raw, Vec<(u32, u32)>)], lists: &[Vec<u32>]) -> Vec<Raw> {
    // Which part and which place in it holds the packet of each list and rank. All are found: the index was made of the
    // same slabs, which never change.
    let mut places: Vec<Vec<(u32, u32)>> = lists.iter().map(|list| vec![(0, 0); list.len()]).collect();
    for ((_, at), part) in parts.iter().zip(0..) {
        for ((list, rank), place) in at.iter().zip(0..) {
            places[*list as usize][*rank as usize] = (part, place);
        }
    }
    let pairs = lists.par_iter().zip(places);
    let one = |(list, places): (&Vec<u32>, Vec<(u32, u32)>)| {
        let mut raw = Raw::default();
        for (entry, (part, place)) in list.iter().zip(places) {
            raw.push(*entry, parts[part as usize].0.payloads(place as usize));
        }
        raw
    };
    pairs.map(one).collect()
}

pub(super) fn encode_fault(object: &str, source: AvroError) -> Error {
    let object = object.to_owned();
    Error::Batch(BatchError::Encode { object, source })
}
