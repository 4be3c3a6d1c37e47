//! The spool of the ingestor: the reports in its slabs, of all clients, and its plans. Each slab is
//! read once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use tallybox_ingestor::batch::records;
use tallybox_model::avro::{ContainerReader, FileLimits, RecordReader};
use tallybox_model::id::PacketId;
use tallybox_model::report::{ReportDigest, StoredReport};
use tallybox_model::spool::{Plan, SpoolNames};
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::{BucketError, ListRange};
use tokio::sync::MutexGuard;

use super::lookup::Lookup;
use super::stored_state::{MAX_OBJECT_BYTES, keys};
use crate::error::Error;
use crate::keys::SandboxKeys;
use crate::layout::LOCALITY;

/// A report in a slab.
#[derive(Debug, Clone)]
pub(super) struct Spooled {
    pub(super) slab: String,
    pub(super) id: String,
    pub(super) metric: String,
    pub(super) digest: ReportDigest,
    /// The packet id that the processors will use for it.
    pub(super) packet: PacketId,
}

/// The reports of each slab, by its key. The keys ascend with time.
pub(super) type Spool = BTreeMap<String, Vec<Spooled>>;

/// A planned window of the ingestor.
pub(super) struct Planned {
    pub(super) window: Window,
    pub(super) slabs: HashSet<String>,
    /// True if all its batches are written.
    pub(super) done: bool,
}

impl Lookup {
    /// Reads the slabs that are new, and returns those that the ingestor retains.
    pub(super) async fn spool(&self) -> Result<MutexGuard<'_, Spool>, Error> {
        let mut spool = self.spool.lock().await;
        let bucket = &*self.ingestor.spool;
        let listed = keys(bucket, &self.names().slabs(), ListRange::default()).await?;
        let listed: HashSet<String> = listed.into_iter().collect();
        spool.retain(|key, _| listed.contains(key));
        for slab in listed {
            if let Entry::Vacant(entry) = spool.entry(slab) {
                let file = self.record(entry.key()).await?;
                let reports = read_reports(entry.key(), &file, &self.world.keys)?;
                entry.insert(reports);
            }
        }
        Ok(spool)
    }

    /// Returns the number of reports that are in no finished window of the ingestor, or are carried
    /// over to the next window because they are too few.
    pub(super) async fn waiting(&self) -> Result<u64, Error> {
        let spool = self.spool().await?;
        let Some(begun) = spool.keys().filter_map(|key| self.begun(key)).min() else {
            return Ok(0);
        };
        let plans = self.plans(begun).await?;
        let done = plans.iter().filter(|plan| plan.done);
        let done: HashSet<&String> = done.flat_map(|plan| &plan.slabs).collect();
        let open = spool.iter().filter(|(key, _)| !done.contains(key));
        let open: usize = open.map(|(_, reports)| reports.len()).sum();
        let records = records(&self.ingestor, &self.ingestor.localities[LOCALITY]).await;
        let records = records.map_err(Error::ingestor)?;
        let newest = records
            .iter()
            .max_by_key(|record| record.summary.window.start());
        Ok(open as u64 + newest.map_or(0, |record| record.summary.carried))
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

    fn names(&self) -> &SpoolNames {
        &self.ingestor.localities[LOCALITY].names
    }

    /// Returns the start of the ingestor window in which a slab was started.
    pub(super) fn begun(&self, slab: &str) -> Option<BatchTime> {
        self.names().parse_slab(slab).map(|name| name.window())
    }
}

fn read_reports(slab: &str, file: &Bytes, keys: &SandboxKeys) -> Result<Vec<Spooled>, Error> {
    let limits = FileLimits::default();
    let unreadable = |error| Error::Internal(format!("{slab}: {error}"));
    let mut reader = ContainerReader::open(&**file, &limits).map_err(unreadable)?;
    let mut found = Vec::new();
    while let Some(block) = reader.next_block().map_err(unreadable)? {
        for report in RecordReader::<StoredReport<'_>>::new(&block, reader.schema(), &limits) {
            let report = report.map_err(unreadable)?;
            let digest = report.digest();
            found.push(Spooled {
                slab: slab.to_owned(),
                id: report.id.to_owned(),
                metric: report.metric.to_owned(),
                packet: PacketId::from_bytes(keys.secret.packet(&digest.report).packet),
                digest,
            });
        }
    }
    Ok(found)
}
