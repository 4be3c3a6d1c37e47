//! Finds out what became of a report: its slab, the plan that names it, the batch, both verdicts, the sum.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tallybox_facilitator::processor::Processor;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::id::{AggregationId, PacketId};
use tallybox_model::report::ReportDigest;
use tallybox_model::time::Window;

use super::books::{BatchBook, Planned, Spooled};
use super::fate::{BatchFate, Fate, Stage};
use crate::error::Error;
use crate::portal::{self, Total};
use crate::world::World;

/// Metrics and windows that have no sum, since no report of them was good. Nothing in a bucket says so.
#[derive(Clone, Default)]
pub(super) struct Sumless(Arc<Mutex<BTreeSet<(AggregationId, Window)>>>);

impl Sumless {
    pub(super) fn add(&self, aggregation: &AggregationId, window: Window) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        set.insert((aggregation.clone(), window));
    }

    fn has(&self, aggregation: &AggregationId, window: Window) -> bool {
        let set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        set.contains(&(aggregation.clone(), window))
    }
}

/// Looks up fates.
#[derive(Clone)]
pub(super) struct Lookup {
    pub(super) world: Arc<World>,
    pub(super) ingestor: Arc<Ingestor>,
    pub(super) processors: [Arc<Processor>; 2],
    pub(super) sumless: Sumless,
}

/// What is read once for many reports of a metric and window.
struct Page {
    batches: Vec<BatchBook>,
    /// None before both sum parts are there.
    total: Option<Total>,
}

impl Lookup {
    /// What became of the report with this id.
    pub(super) async fn fate(&self, id: &str) -> Result<Fate, Error> {
        let mut found = Vec::new();
        for slab in self.slabs().await? {
            let id = id.to_owned();
            found.extend(self.slab(&slab, move |report| report.id == id).await?);
        }
        let kept = found.len();
        found.truncate(1);
        let Some(digest) = found.first().map(|report| report.digest) else {
            return Ok(Fate::unknown(id));
        };
        let mut fates = self.fates(found).await?;
        let mut fate = fates.pop().unwrap_or_else(|| Fate::unknown(id));
        fate.kept = kept;
        if fate.stage == Stage::Dropped
            && let Some(other) = self.twin(digest).await?
        {
            fate.drop(format!("its shares are those of report {other}"));
        }
        Ok(fate)
    }

    /// What became of the reports that came last, the newest first, at most so many.
    pub(super) async fn recent(&self, most: usize) -> Result<Vec<Fate>, Error> {
        let mut found = Vec::new();
        for slab in self.slabs().await?.into_iter().rev() {
            let mut reports = self.slab(&slab, |_| true).await?;
            reports.reverse();
            found.extend(reports);
            if found.len() >= most {
                break;
            }
        }
        found.truncate(most);
        self.fates(found).await
    }

    async fn fates(&self, reports: Vec<Spooled>) -> Result<Vec<Fate>, Error> {
        let begun = reports.iter().filter_map(|report| self.begun(&report.slab)).min();
        let plans = match begun {
            Some(begun) => self.plans(begun).await?,
            None => Vec::new(),
        };
        let mut pages = HashMap::new();
        let mut fates = Vec::new();
        for report in reports {
            fates.push(self.follow(report, &plans, &mut pages).await?);
        }
        Ok(fates)
    }

    async fn follow(
        &self,
        report: Spooled,
        plans: &[Planned],
        pages: &mut HashMap<(AggregationId, Window), Page>,
    ) -> Result<Fate, Error> {
        let packet = PacketId::from_bytes(self.world.keys.secret.packet(&report.digest.report).packet);
        let planned = plans.iter().find(|plan| plan.slabs.contains(&report.slab));
        let aggregation = report.metric.parse::<AggregationId>();
        let mut fate = Fate {
            id: report.id,
            stage: Stage::Spooled,
            kept: 1,
            slab: Some(report.slab),
            metric: Some(report.metric),
            packet_id: Some(packet.to_string()),
            window: planned.map(|plan| plan.window),
            next: "it is batched when its window of a minute has ended and settled: ask again then".to_owned(),
            ..Fate::default()
        };
        let (Some(planned), Ok(aggregation)) = (planned, aggregation) else {
            return Ok(fate);
        };
        let place = (aggregation, planned.window);
        if !pages.contains_key(&place) {
            let page = self.page(&place.0, place.1).await?;
            pages.insert(place.clone(), page);
        }
        let page = &pages[&place];
        let Some(batch) = page.batches.iter().find(|batch| batch.holds(packet)) else {
            if planned.done {
                fate.drop("a replay: its shares came before, under another id".to_owned());
            }
            return Ok(fate);
        };
        fate.stage = Stage::Batched;
        fate.batch = Some(BatchFate::from(&batch.name));
        fate.check(batch.found(packet));
        if let Some(total) = &page.total {
            let summed = total.batches.contains(&batch.name.id);
            fate.sum(summed && !total.invalid.contains(&packet));
        } else if self.sumless.has(&place.0, place.1) {
            fate.sum(false);
        }
        Ok(fate)
    }

    async fn page(&self, aggregation: &AggregationId, window: Window) -> Result<Page, Error> {
        Ok(Page {
            // Sums first: what is summed is also checked.
            total: portal::total(&self.world, aggregation, window).await.ok(),
            batches: self.batches(aggregation, window).await?,
        })
    }

    /// The first report that has a share of this one under another digest.
    async fn twin(&self, digest: ReportDigest) -> Result<Option<String>, Error> {
        for slab in self.slabs().await? {
            let wanted = move |other: &tallybox_model::report::StoredReport<'_>| {
                let other = other.digest();
                let shared = other.ciphertexts.iter().zip(&digest.ciphertexts).any(|(a, b)| a == b);
                other.report != digest.report && shared
            };
            if let Some(other) = self.slab(&slab, wanted).await?.into_iter().next() {
                return Ok(Some(other.id));
            }
        }
        Ok(None)
    }
}
