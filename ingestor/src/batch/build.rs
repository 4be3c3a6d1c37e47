//! The bytes of batches: packets in their order, for both processors, and the headers over them.

use std::collections::HashMap;
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
use tallybox_model::report::StoredReport;
use tallybox_model::spool::{FixedObject, ListedBatch};
use tallybox_model::time::BatchTime;
use tallybox_transport::Bucket;
use tallybox_transport::batch::BatchError;
use uuid::fmt::Hyphenated;

use super::chain::FixedPlan;
use super::cut::CutBatch;
use super::index::{Index, blocking, damaged, each_slab};
use super::record::WindowBatch;
use crate::error::Error;

/// A batch as both processors get it, in bytes.
#[derive(Debug)]
pub(super) struct BuiltBatch {
    pub(super) name: BatchName,
    /// Packet file and header, for each processor.
    pub(super) sides: [[Bytes; 2]; 2],
    pub(super) packets: u64,
}

impl BuiltBatch {
    /// What of it is fixed before it is published.
    pub(super) fn listed(&self, key_ids: [String; 2]) -> ListedBatch {
        ListedBatch {
            aggregation: self.name.aggregation.clone(),
            id: self.name.id,
            packets: self.packets,
            key_ids,
            objects: self
                .sides
                .each_ref()
                .map(|side| side.each_ref().map(|bytes| FixedObject::of(bytes))),
        }
    }
}

/// Everything that the bytes of a window's batches follow from.
pub(super) struct Builder {
    pub(super) plan: FixedPlan,
    pub(super) secret: IngestorSecret,
    pub(super) index: Arc<Index>,
    /// The date in the names of batches.
    pub(super) date: BatchTime,
    /// The point of each group.
    pub(super) points: Vec<i64>,
}

/// What a packet is made of, gathered from the slabs.
struct Raw {
    packet: [u8; 16],
    payloads: [Vec<u8>; 2],
}

impl Builder {
    /// Builds some batches: reads the slabs once more, keeps what belongs to these batches, encodes on all cores.
    pub(super) async fn build(
        self: &Arc<Self>,
        spool: &dyn Bucket,
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
        spool: &dyn Bucket,
        lists: impl Iterator<Item = &'e [u32]>,
    ) -> Result<Vec<Vec<Raw>>, Error> {
        let mut wanted: HashMap<(u32, u32), (u32, u32)> = HashMap::new();
        let mut lengths = Vec::new();
        for (list, number) in lists.zip(0..) {
            lengths.push(list.len());
            for (entry, rank) in list.iter().zip(0..) {
                let entry = &self.index.entries[*entry as usize];
                wanted.insert((entry.slab, entry.position), (number, rank));
            }
        }
        let keys: Vec<String> = self.plan.plan.slabs.iter().map(|slab| slab.key.clone()).collect();
        let secret = self.secret.clone();
        let parts = each_slab(spool, &self.plan.plan.slabs, move |place, slab| {
            let mut found = Vec::new();
            for (report, position) in slab.reports().zip(0..) {
                let report = report.map_err(|error| damaged(&keys[place], &error))?;
                if let Some(at) = wanted.get(&(place as u32, position)) {
                    found.push((*at, raw(&report, &secret)));
                }
            }
            Ok(found)
        });
        let mut gathered: Vec<Vec<Option<Raw>>> = lengths
            .iter()
            .map(|length| std::iter::repeat_with(|| None).take(*length).collect())
            .collect();
        for ((list, rank), raw) in parts.await?.into_iter().flatten() {
            gathered[list as usize][rank as usize] = Some(raw);
        }
        let whole = |list: Vec<Option<Raw>>| list.into_iter().collect::<Option<Vec<Raw>>>();
        let gathered: Option<Vec<_>> = gathered.into_iter().map(whole).collect();
        gathered.ok_or_else(|| Error::Internal("a report of the index is in no slab".to_owned()))
    }

    fn encode(&self, batch: &CutBatch, packets: &[Raw]) -> Result<BuiltBatch, Error> {
        let group = &self.index.groups[batch.group as usize];
        let name = BatchName {
            aggregation: self.aggregation(batch)?,
            date: self.date,
            id: self.batch_id(batch),
        };
        let objects = name.ingestion();
        let fault = |source| encode_fault(&objects.packets, source);
        let mut sides = Vec::with_capacity(2);
        for side in 0..2 {
            let marker = sync_marker(ENCODER_GENERATION, &objects.packets, &[self.plan.digest]);
            let mut file = ContainerWriter::new(Vec::new(), DataSharePacket::KIND, marker);
            for raw in packets {
                let mut text = [0; Hyphenated::LENGTH];
                let id: &str = PacketId::from_bytes(raw.packet).0.hyphenated().encode_lower(&mut text);
                let packet = DataSharePacket {
                    id,
                    encrypted_payload: &raw.payloads[side],
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
            sides.push([Bytes::from(file), Bytes::from(header)]);
        }
        let [first, second]: [[Bytes; 2]; 2] = sides.try_into().map_err(|_| Error::Internal("two sides".to_owned()))?;
        Ok(BuiltBatch {
            name,
            sides: [first, second],
            packets: packets.len() as u64,
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

fn raw(report: &StoredReport<'_>, secret: &IngestorSecret) -> Raw {
    Raw {
        packet: secret.packet(&report.digest().report).packet,
        payloads: [report.payload_first.to_vec(), report.payload_second.to_vec()],
    }
}

pub(super) fn encode_fault(object: &str, source: AvroError) -> Error {
    let object = object.to_owned();
    Error::Batch(BatchError::Encode { object, source })
}
