//! Reads the stored state of all roles: slabs and plans of the ingestor, batches, prepared batches
//! of the processors. Reading it takes the secrets of all roles, which only a sandbox holds
//! together.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures::TryStreamExt as _;
use tallybox_facilitator::intake::find_prepared;
use tallybox_facilitator::prepared::ChunkKind;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::reason::PacketReason;
use tallybox_model::avro::{ContainerReader, FileLimits, RecordReader};
use tallybox_model::id::{AggregationId, PacketId};
use tallybox_model::packet::DataSharePacket;
use tallybox_model::path::{BatchName, window_range};
use tallybox_model::report::{ReportDigest, StoredReport};
use tallybox_model::role::Role;
use tallybox_model::spool::Plan;
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::{Bucket, BucketError, ListRange, read_all};

use super::lookup::Lookup;
use super::status::ProcessorStatus;
use crate::error::Error;
use crate::layout::{BucketKind, LOCALITY};

/// Maximum size of an object in bytes.
pub(super) const MAX_OBJECT_BYTES: u64 = 256 << 20;

/// A report in a slab.
#[derive(Debug, Clone)]
pub(super) struct Spooled {
    pub(super) slab: String,
    pub(super) id: String,
    pub(super) metric: String,
    pub(super) digest: ReportDigest,
}

/// A planned window of the ingestor.
pub(super) struct Planned {
    pub(super) window: Window,
    pub(super) slabs: HashSet<String>,
    /// True if all its batches are written.
    pub(super) done: bool,
}

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
    /// Lists the keys of all slabs, oldest first.
    pub(super) async fn slabs(&self) -> Result<Vec<String>, Error> {
        keys(
            &*self.ingestor.spool,
            &self.names().slabs(),
            ListRange::default(),
        )
        .await
    }

    /// Returns the reports of a slab that `wanted` selects.
    pub(super) async fn slab(
        &self,
        key: &str,
        wanted: impl Fn(&StoredReport<'_>) -> bool + Send + 'static,
    ) -> Result<Vec<Spooled>, Error> {
        let file = self.record(key).await?;
        let slab = key.to_owned();
        blocking(move || reports(&slab, file.as_ref(), wanted)).await?
    }

    /// Reads and verifies an object of the spool.
    async fn record(&self, key: &str) -> Result<Bytes, Error> {
        let spool = &*self.ingestor.spool;
        let missing = || BucketError::NotFound {
            key: key.to_owned(),
            bucket: spool.location(),
        };
        let payload = self
            .ingestor
            .records
            .read(spool, key, MAX_OBJECT_BYTES)
            .await?;
        Ok(payload.ok_or_else(missing)?)
    }

    /// Lists the planned windows that start at `from` or later.
    pub(super) async fn plans(&self, from: BatchTime) -> Result<Vec<Planned>, Error> {
        let (spool, names) = (&*self.ingestor.spool, self.names());
        let records = keys(spool, &names.records(), ListRange::default()).await?;
        let done: HashSet<BatchTime> = records
            .iter()
            .filter_map(|key| Some(names.parse_record(key)?.0))
            .collect();
        let mut plans = Vec::new();
        for key in keys(spool, &names.plans(), ListRange::default()).await? {
            if names.parse_plan(&key).is_none_or(|start| start < from) {
                continue;
            }
            let plan = Plan::parse(&self.record(&key).await?);
            let plan = plan.map_err(|error| Error::Internal(format!("{key}: {error}")))?;
            plans.push(Planned {
                window: plan.window,
                done: done.contains(&plan.window.start()),
                slabs: plan.slabs.into_iter().map(|slab| slab.key).collect(),
            });
        }
        Ok(plans)
    }

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

    fn names(&self) -> &tallybox_model::spool::SpoolNames {
        &self.ingestor.localities[LOCALITY].names
    }

    /// Returns the start of the ingestor window in which a slab was started.
    pub(super) fn begun(&self, slab: &str) -> Option<BatchTime> {
        self.names().parse_slab(slab).map(|name| name.window())
    }
}

fn reports(
    slab: &str,
    file: &[u8],
    wanted: impl Fn(&StoredReport<'_>) -> bool,
) -> Result<Vec<Spooled>, Error> {
    let limits = FileLimits::default();
    let unreadable = |error| Error::Internal(format!("{slab}: {error}"));
    let mut reader = ContainerReader::open(file, &limits).map_err(unreadable)?;
    let mut found = Vec::new();
    while let Some(block) = reader.next_block().map_err(unreadable)? {
        for report in RecordReader::<StoredReport<'_>>::new(&block, reader.schema(), &limits) {
            let report = report.map_err(unreadable)?;
            if wanted(&report) {
                found.push(Spooled {
                    slab: slab.to_owned(),
                    id: report.id.to_owned(),
                    metric: report.metric.to_owned(),
                    digest: report.digest(),
                });
            }
        }
    }
    Ok(found)
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

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Internal(format!("looking up a report: {error}")))
}
