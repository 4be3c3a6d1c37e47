//! `portal rebuild`: recreates all windows of the database from the evidence alone. Every
//! signature, digest and sum is verified again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use serde::Serialize;
use tallybox_service::clock::Clock;
use tallybox_service::config::Loaded;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::progress::{Progress, grouped};
use tallybox_transport::SharedBucket;

use crate::collect::directories;
use crate::config::Config;
use crate::error::Error;
use crate::evidence::{EvidenceListing, EvidenceName, Fault, check_all};
use crate::keys::PortalKeys;
use crate::report::FaultList;
use crate::store::{FindingRow, Loader, Store, SumState, WindowRow};

/// Number of windows that are stored in one transaction.
const STORED_TOGETHER: usize = 5_000;

/// The result of a rebuild.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rebuilt {
    /// Number of windows in the database, each version counted.
    pub windows: u64,
    /// Number of reports in their sums.
    pub reports: u64,
    /// The evidence objects that do not verify.
    #[serde(flatten)]
    pub faults: FaultList,
    /// How long it took.
    #[serde(skip)]
    pub elapsed: Duration,
}

impl Rebuilt {
    /// Returns the exit code: whether all evidence has been verified.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.faults.exit()
    }
}

impl Summary for Rebuilt {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.windows as f64 / self.elapsed.as_secs_f64().max(0.001);
        write!(
            f,
            "{} windows of {} reports verified and stored, {} a second",
            grouped(self.windows),
            grouped(self.reports),
            grouped(rate as u64)
        )?;
        write!(f, "{}", self.faults)
    }
}

/// Recreates the windows of a store from the evidence of a configuration. Findings stay. One-sided
/// and refused windows have no evidence: the next run of `collect` finds them again.
///
/// # Errors
/// [`Error`]. The store is then incomplete, and the command has to be run again.
pub async fn rebuild(
    config: &Loaded<Config>,
    store: &Store,
    clock: &Clock,
    progress: &Progress,
) -> Result<Rebuilt, Error> {
    let started = Instant::now();
    let bucket = config.value.evidence.open(&config.directory)?;
    // Before anything is removed: a mount that is missing must not look like empty evidence.
    bucket.check_there().await?;
    let mut keys = BTreeMap::new();
    for source in &config.value.sources {
        keys.insert(
            source.name.clone(),
            Arc::new(source.keys(&config.directory)?),
        );
    }
    let mut rebuild = Rebuild {
        minimum: config.value.minimum,
        now: clock.millis(),
        bucket,
        store,
        loader: store.load().await?,
        rows: Vec::new(),
        rebuilt: Rebuilt::default(),
    };
    for source in rebuild.bucket.list_directories("").await? {
        match keys.get(&source) {
            Some(keys) => rebuild.source(&source, keys, progress).await?,
            None => rebuild.rebuilt.faults.add(&source, &Fault::Source),
        }
    }
    rebuild.flush().await?;
    let Rebuild {
        loader,
        mut rebuilt,
        ..
    } = rebuild;
    loader.finish().await?;
    rebuilt.elapsed = started.elapsed();
    Ok(rebuilt)
}

/// A rebuild in progress.
struct Rebuild<'s> {
    minimum: u64,
    now: i64,
    bucket: SharedBucket,
    store: &'s Store,
    loader: Loader<'s>,
    rows: Vec<WindowRow>,
    rebuilt: Rebuilt,
}

impl Rebuild<'_> {
    async fn source(
        &mut self,
        source: &str,
        keys: &Arc<PortalKeys>,
        progress: &Progress,
    ) -> Result<(), Error> {
        for (instance, aggregation) in directories(self.bucket.as_ref(), source).await? {
            let directory = EvidenceName::directory(source, &instance, &aggregation);
            let mut listing = EvidenceListing::read(&self.bucket, &directory).await?;
            for key in &listing.foreign {
                self.rebuilt.faults.add(key, &Fault::Name);
            }
            let names = std::mem::take(&mut listing.names);
            let mut groups = std::pin::pin!(check_all(&self.bucket, keys, names));
            while let Some(group) = groups.try_next().await? {
                for checked in group {
                    progress.advance(0, checked.bytes);
                    match checked.sum {
                        Ok(sum) => {
                            let mut row = checked.name.row(sum, self.minimum, self.now);
                            if listing.is_superseded(&checked.name) {
                                row.state = SumState::Superseded;
                            }
                            self.rebuilt.reports += row.reports;
                            self.rows.push(row);
                        }
                        Err(fault) => self.fault(&checked.name, &fault).await?,
                    }
                }
                if self.rows.len() >= STORED_TOGETHER {
                    self.flush().await?;
                }
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.loader.add(&self.rows).await?;
        self.rebuilt.windows += self.rows.len() as u64;
        self.rows.clear();
        Ok(())
    }

    /// Notes an evidence object that does not verify. Its window is a finding.
    async fn fault(&mut self, name: &EvidenceName, fault: &Fault) -> Result<(), Error> {
        self.rebuilt.faults.add(&name.to_string(), fault);
        let finding = FindingRow {
            instance: name.instance.clone(),
            aggregation: name.aggregation.clone(),
            window: name.window,
            kind: fault.kind().to_owned(),
            message: format!("{name}: {fault}"),
            next_step: fault.next_step(),
            first_seen: self.now,
            resolved: None,
        };
        self.store.add_finding(&finding).await?;
        Ok(())
    }
}
