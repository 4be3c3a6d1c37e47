//! The result of `portal verify`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use tallybox_model::role::Role;
use tallybox_service::chart::{Align, Screen, Table, Tone};
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;

use crate::keys::PortalKeys;
use crate::pair::WindowSum;
use crate::report::FaultList;

/// The result of a verification.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verified {
    /// Number of evidence objects that verify.
    pub objects: u64,
    /// Number of objects that a correction supersedes.
    pub superseded: u64,
    /// Number of published sums that agree with the evidence.
    pub published: u64,
    /// The verified windows of each metric, without superseded ones.
    pub metrics: BTreeMap<String, VerifiedMetric>,
    /// The keys, so that a reader can compare their fingerprints with those that the processors
    /// publish.
    pub keys: Vec<VerifiedKey>,
    /// The objects that do not verify.
    #[serde(flatten)]
    pub faults: FaultList,
}

/// The verified windows of a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VerifiedMetric {
    /// Number of windows.
    pub windows: u64,
    /// Number of reports.
    pub reports: u64,
    /// Number of batches.
    pub batches: u64,
}

/// A public key and the number of sum parts that it verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VerifiedKey {
    /// The source.
    pub source: String,
    /// The processor.
    pub writer: Role,
    /// The identifier in signatures.
    pub id: String,
    /// The fingerprint of the public key.
    pub fingerprint: String,
    /// Number of sum parts.
    pub parts: u64,
}

impl Verified {
    /// Returns the exit code: whether everything verifies.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.faults.exit()
    }

    /// Notes the keys of a source.
    pub(super) fn add_keys(&mut self, source: &str, keys: &PortalKeys) {
        for writer in Role::ALL {
            for (id, key) in keys.of(writer) {
                self.keys.push(VerifiedKey {
                    source: source.to_owned(),
                    writer,
                    id: id.clone(),
                    fingerprint: key.fingerprint(),
                    parts: 0,
                });
            }
        }
    }

    /// Counts the sum of an object.
    pub(super) fn add(&mut self, source: &str, sum: &WindowSum, is_latest: bool) {
        self.objects += 1;
        for part in &sum.evidence {
            let key = self.keys.iter_mut().find(|key| {
                key.source == source && key.writer == part.writer && key.id == part.signed_by.key
            });
            if let Some(key) = key {
                key.parts += 1;
            }
        }
        if !is_latest {
            self.superseded += 1;
            return;
        }
        let metric = self.metrics.entry(sum.aggregation.clone()).or_default();
        metric.windows += 1;
        metric.reports += sum.count;
        metric.batches += sum.batches.len() as u64;
    }
}

impl Summary for Verified {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let screen = Screen::stdout();
        writeln!(
            f,
            "{} evidence objects verify: signatures, digests, batches and sums ({} superseded)",
            grouped(self.objects),
            grouped(self.superseded)
        )?;
        if self.published > 0 {
            let count = grouped(self.published);
            writeln!(f, "{count} published sums agree with the evidence")?;
        }
        let columns = [
            ("metric", Align::Left),
            ("windows", Align::Right),
            ("reports", Align::Right),
            ("batches", Align::Right),
        ];
        let mut table = Table::new(screen, &columns);
        for (name, metric) in &self.metrics {
            let counts = [metric.windows, metric.reports, metric.batches].map(grouped);
            table.row(std::iter::once(name.clone()).chain(counts));
        }
        write!(
            f,
            "\n{table}\n\nkeys, to be compared with those that the processors publish:"
        )?;
        for key in &self.keys {
            let line = format!(
                "{} {} {}: {} ({} sum parts)",
                key.source,
                key.writer,
                key.id,
                key.fingerprint,
                grouped(key.parts)
            );
            write!(f, "\n{}", screen.paint(Tone::Faint, &line))?;
        }
        write!(f, "{}", self.faults)
    }
}
