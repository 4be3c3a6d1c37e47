//! The slab of carried reports: too few for a batch, they are stored for the next window under a
//! deterministic name.

use std::collections::HashMap;

use tallybox_model::avro::{ContainerWriter, Record};
use tallybox_model::marker::{ENCODER_GENERATION, sync_marker};
use tallybox_model::report::StoredReport;

use super::build::{Builder, encode_fault};
use super::index::{damaged, each_slab};
use super::retry::RetryingBucket;
use crate::error::Error;

impl Builder {
    /// Returns the slab of reports that are carried over to the next window.
    pub(super) async fn carried(
        &self,
        spool: RetryingBucket<'_>,
        object: &str,
        entries: &[u32],
    ) -> Result<Vec<u8>, Error> {
        let mut sorted = entries.to_vec();
        sorted.sort_unstable();
        let wanted: HashMap<(u32, u32), i64> = sorted
            .iter()
            .map(|entry| {
                let entry = &self.index.entries[*entry as usize];
                ((entry.slab, entry.position), entry.carried_since)
            })
            .collect();
        let keys: Vec<String> = self
            .plan
            .plan
            .slabs
            .iter()
            .map(|slab| slab.key.clone())
            .collect();
        let start = self.plan.plan.window.start().millis();
        let name = object.to_owned();
        let slabs = each_slab(spool, &self.plan.plan.slabs, move |slab_number, slab| {
            let mut carried = Vec::new();
            for (report, position) in slab.reports().zip(0..) {
                let report = report.map_err(|error| damaged(&keys[slab_number], &error))?;
                if let Some(since) = wanted.get(&(slab_number as u32, position)) {
                    let since = since.saturating_mul(60_000).min(start);
                    carried.push(Carried::from_report(&report, since));
                }
            }
            Ok(carried)
        });
        let marker = sync_marker(ENCODER_GENERATION, object, &[self.plan.digest]);
        let mut file = ContainerWriter::new(Vec::new(), StoredReport::KIND, marker);
        for carried in slabs.await?.iter().flatten() {
            file.append(&carried.report())
                .map_err(|source| encode_fault(&name, source))?;
        }
        file.finish().map_err(|source| encode_fault(&name, source))
    }
}

/// An owned copy of a carried report. There are always fewer of them than the smallest batch has
/// packets.
struct Carried {
    texts: [String; 4],
    payloads: [Vec<u8>; 2],
    numbers: (i32, f64, i64, i32, Option<i32>),
    since: i64,
}

impl Carried {
    fn from_report(report: &StoredReport<'_>, since: i64) -> Self {
        Self {
            texts: [
                report.id,
                report.metric,
                report.key_id_first,
                report.key_id_second,
            ]
            .map(str::to_owned),
            payloads: [
                report.payload_first.to_vec(),
                report.payload_second.to_vec(),
            ],
            numbers: (
                report.bins,
                report.epsilon,
                report.prime,
                report.number_of_servers,
                report.hamming_weight,
            ),
            since,
        }
    }

    fn report(&self) -> StoredReport<'_> {
        let [id, metric, key_id_first, key_id_second] = self.texts.each_ref().map(String::as_str);
        let (bins, epsilon, prime, number_of_servers, hamming_weight) = self.numbers;
        StoredReport {
            id,
            metric,
            bins,
            epsilon,
            prime,
            number_of_servers,
            hamming_weight,
            key_id_first,
            key_id_second,
            payload_first: &self.payloads[0],
            payload_second: &self.payloads[1],
            carried_since: Some(self.since),
        }
    }
}
