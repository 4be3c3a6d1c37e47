//! Reads batches, and the prepared batches of the processors. Reading these takes the secrets of
//! both processors, which only a sandbox holds together.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt as _;
use tallybox_facilitator::intake::find_prepared;
use tallybox_facilitator::prepared::ChunkKind;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::reason::PacketReason;
use tallybox_model::avro::{ContainerReader, FileLimits, RecordReader};
use tallybox_model::id::{AggregationId, PacketId};
use tallybox_model::packet::DataSharePacket;
use tallybox_model::path::{BatchName, window_range};
use tallybox_model::role::Role;
use tallybox_model::time::Window;
use tallybox_transport::{Bucket, ListRange, read_all};

use super::lookup::Lookup;
use super::status::ProcessorStatus;
use crate::error::Error;
use crate::layout::BucketKind;

/// Maximum size of an object in bytes.
pub(super) const MAX_OBJECT_BYTES: u64 = 256 << 20;

/// A batch: its packets, and each processor's record of its intake.
pub(super) struct StoredBatch {
    pub(super) name: BatchName,
    packets: HashSet<PacketId>,
    /// For each processor the record; `None` before its intake.
    intakes: [Option<IntakeRecord>; 2],
}

impl StoredBatch {
    pub(super) fn holds(&self, packet: PacketId) -> bool {
        self.packets.contains(&packet)
    }

    pub(super) fn intake_results(&self, packet: PacketId) -> [ProcessorStatus; 2] {
        [0, 1].map(|index: usize| match &self.intakes[index] {
            None => ProcessorStatus::default(),
            Some(intake) => intake.rejected.get(&packet).copied().into(),
        })
    }
}

/// A processor's record of the intake of a batch.
#[derive(Debug, Default)]
pub(crate) struct IntakeRecord {
    /// Packets for which the processor sent no verification message.
    pub(crate) rejected: HashMap<PacketId, PacketReason>,
    /// Number of packets with an id of an earlier packet. The record does not list them.
    pub(crate) repeated: u64,
}

impl IntakeRecord {
    /// Reads the record from the prepared batch; returns `None` before the intake.
    pub(crate) async fn read(
        processor: &Processor,
        name: &BatchName,
    ) -> Result<Option<Self>, Error> {
        let refused = |error| Error::processor(processor.buckets.role, error);
        let prepared = find_prepared(processor, name).await.map_err(refused)?;
        let Some(prepared) = prepared else {
            return Ok(None);
        };
        let rejections = &prepared.footer().rejections;
        let mut record = Self {
            rejected: HashMap::new(),
            repeated: rejections.count(PacketReason::DuplicateUuid),
        };
        for chunk in prepared.chunks(ChunkKind::Rejects) {
            let rejects = prepared.rejects(chunk).await;
            record
                .rejected
                .extend(rejects.map_err(|error| refused(error.into()))?);
        }
        Ok(Some(record))
    }
}

impl Lookup {
    /// Reads all batches of a metric and window.
    pub(super) async fn batches(
        &self,
        aggregation: &AggregationId,
        window: Window,
    ) -> Result<Vec<StoredBatch>, Error> {
        let mailbox = self.world.layout.bucket(BucketKind::Ingestion, Role::First);
        let (start, end) = window_range(aggregation, &window);
        let range = ListRange {
            start_at: Some(start),
            end_before: Some(end),
        };
        let mut batches = Vec::new();
        for key in keys(&*mailbox, aggregation.as_str(), range).await? {
            let Some(name) = BatchName::from_ingestion_signature(&key) else {
                continue;
            };
            batches.push(StoredBatch {
                packets: read_packets(&*mailbox, &name).await?.into_iter().collect(),
                intakes: [
                    IntakeRecord::read(&self.processors[0], &name).await?,
                    IntakeRecord::read(&self.processors[1], &name).await?,
                ],
                name,
            });
        }
        Ok(batches)
    }
}

/// Reads the ids of the packets of a batch in a mailbox.
pub(super) async fn read_packets(
    mailbox: &dyn Bucket,
    name: &BatchName,
) -> Result<Vec<PacketId>, Error> {
    let file = read_all(mailbox, &name.ingestion().packets, MAX_OBJECT_BYTES).await?;
    let limits = FileLimits::default();
    let bad = |error| Error::Internal(format!("{name}: {error}"));
    let mut reader = ContainerReader::open(&*file, &limits).map_err(bad)?;
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block().map_err(bad)? {
        for packet in RecordReader::<DataSharePacket<'_>>::new(&block, reader.schema(), &limits) {
            packets.extend(packet.map_err(bad)?.id.parse::<PacketId>().ok());
        }
    }
    Ok(packets)
}

/// Lists the keys of a directory.
pub(super) async fn keys(
    bucket: &dyn Bucket,
    directory: &str,
    range: ListRange,
) -> Result<Vec<String>, Error> {
    let entries = bucket.list(directory, range).await?;
    Ok(entries.map_ok(|entry| entry.key).try_collect().await?)
}
