//! Reports that the ingestor has stored and not batched yet, of all clients.

use std::collections::{HashMap, HashSet};

use tallybox_ingestor::batch::records;
use tallybox_model::id::PacketId;

use super::lookup::Lookup;
use super::truth::SharedPostedReports;
use crate::error::Error;
use crate::layout::LOCALITY;

/// A reader of the spool that reads each slab once.
#[derive(Debug, Default)]
pub(super) struct SpoolReader {
    /// Number of reports in each slab.
    slabs: HashMap<String, u64>,
}

impl SpoolReader {
    /// Reads the new slabs, and records that their reports are stored.
    pub(super) async fn read(
        &mut self,
        lookup: &Lookup,
        posted_reports: &SharedPostedReports,
    ) -> Result<(), Error> {
        let listed = lookup.slabs().await?;
        for key in &listed {
            if self.slabs.contains_key(key) {
                continue;
            }
            let reports = lookup.slab(key, |_| true).await?;
            let mut posted_reports = posted_reports.lock();
            for report in &reports {
                let secret = &lookup.world.keys.secret;
                posted_reports.spooled(PacketId::from_bytes(
                    secret.packet(&report.digest.report).packet,
                ));
            }
            self.slabs.insert(key.clone(), reports.len() as u64);
        }
        let listed: HashSet<&String> = listed.iter().collect();
        self.slabs.retain(|key, _| listed.contains(key));
        Ok(())
    }

    /// Returns the number of reports that are in no finished window of the ingestor, or are carried
    /// over to the next window because they are too few.
    pub(super) async fn waiting(&self, lookup: &Lookup) -> Result<u64, Error> {
        let Some(begun) = self.slabs.keys().filter_map(|key| lookup.begun(key)).min() else {
            return Ok(0);
        };
        let plans = lookup.plans(begun).await?;
        let done: HashSet<&String> = plans
            .iter()
            .filter(|plan| plan.done)
            .flat_map(|plan| &plan.slabs)
            .collect();
        let open = self.slabs.iter().filter(|(key, _)| !done.contains(key));
        let open: u64 = open.map(|(_, reports)| reports).sum();
        let ingestor = &lookup.ingestor;
        let records = records(ingestor, &ingestor.localities[LOCALITY]).await;
        let records = records.map_err(Error::ingestor)?;
        let newest = records
            .iter()
            .max_by_key(|record| record.summary.window.start());
        Ok(open + newest.map_or(0, |record| record.summary.carried))
    }
}
