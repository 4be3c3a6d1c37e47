//! What became of one report: looked up in what every role left behind. Nobody outside a sandbox could, since it takes the
//! secrets of all of them.

use std::sync::Arc;

use futures::TryStreamExt as _;
use serde::Serialize;
use tallybox_facilitator::intake::find_prepared;
use tallybox_facilitator::prepared::ChunkKind;
use tallybox_facilitator::processor::Processor;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::avro::{ContainerReader, Limits, Records};
use tallybox_model::id::{AggregationId, PacketId};
use tallybox_model::packet::DataSharePacket;
use tallybox_model::path::BatchName;
use tallybox_model::report::StoredReport;
use tallybox_model::role::Role;
use tallybox_model::time::aligned_window;
use tallybox_transport::{Bucket, ListRange, read_all};

use crate::error::Error;
use crate::layout::{BucketKind, LOCALITY};
use crate::portal;
use crate::world::World;

/// Most bytes of an object.
const LIMIT: u64 = 256 << 20;

/// What became of a report.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fate {
    /// The report's id.
    pub id: String,
    /// How far it has come: `unknown`, `spooled`, `batched`, `checked` or `summed`.
    pub stage: &'static str,
    /// What happens next, or what to do.
    pub next: &'static str,
    /// Its metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// The slab that it was kept in; the first of them, if it came again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slab: Option<String>,
    /// How often it was kept. It counts once.
    pub kept: usize,
    /// The id that the processors know it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_id: Option<String>,
    /// The batch that it is in, for both processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// What the first processor found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<ProcessorFate>,
    /// What the second processor found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<ProcessorFate>,
    /// Whether it is in the sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<bool>,
}

/// What a processor found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessorFate {
    /// `message`: it opened its share and told its peer. `rejected`: it did not.
    pub verdict: &'static str,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Looks up fates.
#[derive(Clone)]
pub(super) struct Lookup {
    pub(super) world: Arc<World>,
    pub(super) ingestor: Arc<Ingestor>,
    pub(super) processors: [Arc<Processor>; 2],
}

/// A report as it stands in the spool.
struct Spooled {
    slab: String,
    metric: String,
    packet: PacketId,
    kept: usize,
}

impl Lookup {
    /// What became of the report with this id.
    pub(super) async fn fate(&self, id: &str) -> Result<Fate, Error> {
        let mut fate = Fate {
            id: id.to_owned(),
            stage: "unknown",
            next: "no report with this id was accepted: the answer to its post says why",
            ..Fate::default()
        };
        let Some(spooled) = self.spooled(id).await? else {
            return Ok(fate);
        };
        fate.stage = "spooled";
        fate.next =
            "it is batched when its window of a minute has ended and settled; a replay of another report is dropped";
        fate.packet_id = Some(spooled.packet.to_string());
        fate.kept = spooled.kept;
        let batch = self.batched(&spooled).await?;
        (fate.slab, fate.metric) = (Some(spooled.slab), Some(spooled.metric));
        let Some(name) = batch else {
            return Ok(fate);
        };
        fate.stage = "batched";
        fate.next = "both processors take the batch in";
        fate.batch = Some(name.to_string());
        let found = [
            self.found(&self.processors[0], &name, spooled.packet).await?,
            self.found(&self.processors[1], &name, spooled.packet).await?,
        ];
        let checked = found.iter().all(Option::is_some);
        [fate.first, fate.second] = found;
        if !checked {
            return Ok(fate);
        }
        fate.stage = "checked";
        fate.next = "both processors add what both found good";
        let Some(window) = aligned_window(name.date, self.ingestor.batches.window_minutes) else {
            return Ok(fate);
        };
        // Until both sum parts are there, there is no total to read.
        if let Ok(total) = portal::total(&self.world, &name.aggregation, window).await {
            let counted = !total.invalid.contains(&spooled.packet);
            fate.stage = "summed";
            fate.counted = Some(counted);
            fate.next = match counted {
                true => "nothing: it is in the sum",
                false
                    if [&fate.first, &fate.second]
                        .iter()
                        .all(|found| found.as_ref().is_some_and(is_message)) =>
                {
                    "its proof does not hold: look at how shares and proof are made (docs/clients.md)"
                }
                false => "look at the processor's reason (docs/operating.md)",
            };
        }
        Ok(fate)
    }

    /// The ids of the reports in the spool, newest slab first, at most so many.
    pub(super) async fn recent(&self, most: usize) -> Result<Vec<String>, Error> {
        let mut ids = Vec::new();
        for key in self.slabs().await?.into_iter().rev() {
            let mut in_slab = Vec::new();
            self.each(&key, |report| in_slab.push(report.id.to_owned())).await?;
            ids.extend(in_slab.into_iter().rev());
            if ids.len() >= most {
                break;
            }
        }
        ids.truncate(most);
        Ok(ids)
    }

    async fn slabs(&self) -> Result<Vec<String>, Error> {
        let names = &self.ingestor.localities[LOCALITY].names;
        keys(&*self.ingestor.spool, &names.slabs()).await
    }

    async fn each(&self, key: &str, mut take: impl FnMut(&StoredReport<'_>)) -> Result<(), Error> {
        let file = read_all(&*self.ingestor.spool, key, LIMIT).await?;
        let limits = Limits::default();
        let unreadable = |error| Error::Internal(format!("{key}: {error}"));
        let mut reader = ContainerReader::open(file.as_ref(), &limits).map_err(unreadable)?;
        while let Some(block) = reader.next_block().map_err(unreadable)? {
            for report in Records::<StoredReport<'_>>::new(&block, reader.schema(), &limits) {
                take(&report.map_err(unreadable)?);
            }
        }
        Ok(())
    }

    async fn spooled(&self, id: &str) -> Result<Option<Spooled>, Error> {
        let mut found: Option<Spooled> = None;
        for key in self.slabs().await? {
            self.each(&key, |report| {
                if report.id != id {
                    return;
                }
                match &mut found {
                    Some(known) => known.kept += 1,
                    None => {
                        let digest = report.digest().report;
                        found = Some(Spooled {
                            slab: key.clone(),
                            metric: report.metric.to_owned(),
                            packet: PacketId::from_bytes(self.world.keys.secret.packet(&digest).packet),
                            kept: 1,
                        });
                    }
                }
            })
            .await?;
        }
        Ok(found)
    }

    async fn batched(&self, spooled: &Spooled) -> Result<Option<BatchName>, Error> {
        let mailbox = self.world.layout.bucket(BucketKind::Ingestion, Role::First);
        let Ok(aggregation) = spooled.metric.parse::<AggregationId>() else {
            return Ok(None);
        };
        let id = spooled.packet.to_string();
        for key in keys(&*mailbox, aggregation.as_str()).await? {
            let Some(name) = BatchName::from_ingestion_signature(&key) else {
                continue;
            };
            let packets = read_all(&*mailbox, &name.ingestion().packets, LIMIT).await?;
            if holds(&packets, &id) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    async fn found(
        &self,
        processor: &Processor,
        name: &BatchName,
        packet: PacketId,
    ) -> Result<Option<ProcessorFate>, Error> {
        let refused = |error: tallybox_facilitator::error::Error| Error::Processor {
            role: processor.role,
            source: Box::new(error),
        };
        let Some(prepared) = find_prepared(processor, name).await.map_err(refused)? else {
            return Ok(None);
        };
        for chunk in prepared.chunks(ChunkKind::Rejects) {
            let rejects = prepared.rejects(chunk).await.map_err(|error| refused(error.into()))?;
            if let Some((_, reason)) = rejects.iter().find(|(id, _)| *id == packet) {
                let reason = serde_json::to_value(reason).ok();
                return Ok(Some(ProcessorFate {
                    verdict: "rejected",
                    reason: reason.and_then(|reason| reason.as_str().map(str::to_owned)),
                }));
            }
        }
        Ok(Some(ProcessorFate {
            verdict: "message",
            reason: None,
        }))
    }
}

fn is_message(found: &ProcessorFate) -> bool {
    found.verdict == "message"
}

async fn keys(bucket: &dyn Bucket, directory: &str) -> Result<Vec<String>, Error> {
    let entries = bucket.list(directory, ListRange::default()).await?;
    Ok(entries.map_ok(|entry| entry.key).try_collect().await?)
}

/// Whether a packet file holds a packet. One that cannot be read holds none: the processors say what is wrong with it.
fn holds(file: &[u8], id: &str) -> bool {
    let limits = Limits::default();
    let Ok(mut reader) = ContainerReader::open(file, &limits) else {
        return false;
    };
    while let Ok(Some(block)) = reader.next_block() {
        let mut packets = Records::<DataSharePacket<'_>>::new(&block, reader.schema(), &limits).flatten();
        if packets.any(|packet| packet.id == id) {
            return true;
        }
    }
    false
}
