//! Derives the status of a report: its slab, the plan that names the slab, the batch, both intakes,
//! the sum.

use std::collections::HashMap;
use std::sync::Arc;

use tallybox_facilitator::error::Error as FacilitatorError;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::roster::{Outcome, WindowView, explain, show};
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::id::{AggregationId, PacketId};
use tallybox_model::path::BatchName;
use tallybox_model::report::ReportDigest;
use tallybox_model::roster::WindowName;
use tallybox_model::time::Window;

use super::front::Front;
use super::status::{BatchStatus, ReportStage, ReportStatus, RosterStatus};
use super::stored_state::{Planned, Spooled, StoredBatch};
use crate::error::Error;
use crate::portal::{self, Total};
use crate::world::World;

/// Derives the status of reports from the stored state of all roles.
#[derive(Clone)]
pub(super) struct Lookup {
    pub(super) world: Arc<World>,
    pub(super) ingestor: Arc<Ingestor>,
    pub(super) front: Arc<Front>,
    pub(super) processors: [Arc<Processor>; 2],
}

/// Cache for one query: state that several reports share.
#[derive(Default)]
struct Pages {
    /// The batches of a metric, by the ingestor's window.
    batches: HashMap<(AggregationId, Window), Vec<StoredBatch>>,
    /// The roster entries of a batch, on both sides.
    rosters: HashMap<BatchName, RosterStatus>,
    /// The sums of a metric and window; `None` until both sum parts exist.
    totals: HashMap<(AggregationId, Window), Option<Total>>,
}

impl Lookup {
    /// Returns the status of the report with this id.
    pub(super) async fn fate(&self, id: &str) -> Result<ReportStatus, Error> {
        let mut found = Vec::new();
        for slab in self.slabs().await? {
            let id = id.to_owned();
            found.extend(self.slab(&slab, move |report| report.id == id).await?);
        }
        let kept = found.len();
        found.truncate(1);
        let Some(digest) = found.first().map(|report| report.digest) else {
            return Ok(match self.front.refusal(id) {
                Some(problem) => ReportStatus::refused(id, problem),
                None => ReportStatus::unknown(id),
            });
        };
        let mut fates = self.fates(found).await?;
        let mut fate = fates.pop().unwrap_or_else(|| ReportStatus::unknown(id));
        fate.kept = kept;
        if fate.stage == ReportStage::Dropped
            && let Some(other) = self.twin(digest).await?
        {
            fate.drop(format!(
                "its shares are identical to those of report {other}"
            ));
        }
        Ok(fate)
    }

    /// Returns the status of the newest reports, newest first, at most `most` of them.
    pub(super) async fn recent(&self, most: usize) -> Result<Vec<ReportStatus>, Error> {
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

    async fn fates(&self, reports: Vec<Spooled>) -> Result<Vec<ReportStatus>, Error> {
        let begun = reports
            .iter()
            .filter_map(|report| self.begun(&report.slab))
            .min();
        let plans = match begun {
            Some(begun) => self.plans(begun).await?,
            None => Vec::new(),
        };
        let mut pages = Pages::default();
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
        pages: &mut Pages,
    ) -> Result<ReportStatus, Error> {
        let packet =
            PacketId::from_bytes(self.world.keys.secret.packet(&report.digest.report).packet);
        let planned = plans.iter().find(|plan| plan.slabs.contains(&report.slab));
        let aggregation = report.metric.parse::<AggregationId>();
        let mut fate = ReportStatus {
            id: report.id,
            stage: ReportStage::Spooled,
            kept: 1,
            slab: Some(report.slab),
            metric: Some(report.metric),
            packet_id: Some(packet.to_string()),
            window: planned.map(|plan| plan.window),
            next: "it is batched in some seconds, when the ingestor's window has settled: query again then".to_owned(),
            ..ReportStatus::default()
        };
        let (Some(planned), Ok(aggregation)) = (planned, aggregation) else {
            return Ok(fate);
        };
        let place = (aggregation, planned.window);
        if !pages.batches.contains_key(&place) {
            let batches = self.batches(&place.0, place.1).await?;
            pages.batches.insert(place.clone(), batches);
        }
        let Some(batch) = pages.batches[&place]
            .iter()
            .find(|batch| batch.holds(packet))
        else {
            if planned.done {
                fate.drop("a replay: its shares were posted before, under another id".to_owned());
            }
            return Ok(fate);
        };
        fate.stage = ReportStage::Batched;
        fate.batch = Some(BatchStatus::from(&batch.name));
        fate.check(batch.found(packet));
        let name = batch.name.clone();
        if !pages.rosters.contains_key(&name) {
            pages
                .rosters
                .insert(name.clone(), self.rosters(&name).await?);
        }
        let rosters = pages.rosters[&name].clone();
        let settled = rosters.settled();
        fate.rosters = rosters;
        match settled {
            Some((Outcome::Summed, window)) => {
                let place = (name.aggregation, window);
                if !pages.totals.contains_key(&place) {
                    let total = portal::total(&self.world, &place.0, window).await.ok();
                    pages.totals.insert(place.clone(), total);
                }
                match &pages.totals[&place] {
                    Some(total) => fate.sum(window, !total.invalid.contains(&packet)),
                    None => fate.agree(window),
                }
            }
            Some((outcome, window)) => fate.give_up(outcome, window),
            None => fate.wait(),
        }
        Ok(fate)
    }

    /// Returns the entries of a batch in the rosters of each window, on both sides.
    async fn rosters(&self, name: &BatchName) -> Result<RosterStatus, Error> {
        let side = |processor: &Arc<Processor>| {
            let processor = Arc::clone(processor);
            async move {
                match explain(&processor, &name.aggregation, name.date, name.id).await {
                    Ok(views) => Ok(views),
                    // Neither side has a roster yet.
                    Err(FacilitatorError::NoRosters | FacilitatorError::NoSuchWindow { .. }) => {
                        Ok(Vec::new())
                    }
                    Err(error) => Err(refused(&processor, error)),
                }
            }
        };
        Ok(RosterStatus {
            first: side(&self.processors[0]).await?,
            second: side(&self.processors[1]).await?,
        })
    }

    /// Returns both rosters of a window, as each side stores them.
    pub(super) async fn window(&self, name: &WindowName) -> Result<[WindowView; 2], Error> {
        let [first, second] = &self.processors;
        let first = show(first, name)
            .await
            .map_err(|error| refused(first, error))?;
        let second = show(second, name)
            .await
            .map_err(|error| refused(second, error))?;
        Ok([first, second])
    }

    /// Returns the id of the first other report that contains one of this report's encrypted
    /// shares.
    async fn twin(&self, digest: ReportDigest) -> Result<Option<String>, Error> {
        for slab in self.slabs().await? {
            let wanted = move |other: &tallybox_model::report::StoredReport<'_>| {
                let other = other.digest();
                let shared = other
                    .ciphertexts
                    .iter()
                    .zip(&digest.ciphertexts)
                    .any(|(a, b)| a == b);
                other.report != digest.report && shared
            };
            if let Some(other) = self.slab(&slab, wanted).await?.into_iter().next() {
                return Ok(Some(other.id));
            }
        }
        Ok(None)
    }
}

fn refused(processor: &Processor, error: FacilitatorError) -> Error {
    Error::Processor {
        role: processor.role,
        source: Box::new(error),
    }
}
