//! Derives the status of a report: its slab, the plan that names the slab, the batch, both intakes,
//! the sum.

use std::collections::HashMap;
use std::sync::Arc;

use tallybox_facilitator::error::Error as FacilitatorError;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::roster::{AgreementOutcome, WindowView, explain, show};
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::id::AggregationId;
use tallybox_model::path::BatchName;
use tallybox_model::report::ReportDigest;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::time::Window;

use super::front::Front;
use super::spool::{Planned, Spool, Spooled};
use super::status::{ReportBatch, ReportStage, ReportTrace, RosterStatus};
use super::stored_state::StoredBatch;
use crate::error::Error;
use crate::portal::{self, Total};
use crate::world::World;

/// Derives the status of reports from the stored state of all roles.
#[derive(Clone)]
pub(crate) struct Lookup {
    pub(super) world: Arc<World>,
    pub(super) ingestor: Arc<Ingestor>,
    pub(super) front: Arc<Front>,
    pub(super) spool: Arc<tokio::sync::Mutex<Spool>>,
    pub(crate) processors: [Arc<Processor>; 2],
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
    pub(super) async fn trace(&self, id: &str) -> Result<ReportTrace, Error> {
        let spool = self.spool().await?;
        let copies = spool.values().flatten().filter(|report| report.id == id);
        let copies: Vec<Spooled> = copies.cloned().collect();
        let Some(first) = copies.first() else {
            return Ok(match self.front.refusal(id) {
                Some(problem) => ReportTrace::refused(id, problem),
                None => ReportTrace::unknown(id),
            });
        };
        let twin = twin(&spool, first.digest);
        drop(spool);
        let mut traces = self.trace_all(vec![first.clone()]).await?;
        let mut trace = traces.pop().unwrap_or_else(|| ReportTrace::unknown(id));
        trace.kept = copies.len();
        if trace.stage == ReportStage::Dropped
            && let Some(other) = twin
        {
            trace.drop(format!(
                "its shares are identical to those of report {other}"
            ));
        }
        Ok(trace)
    }

    /// Returns the status of the newest reports, newest first, at most `most` of them.
    pub(super) async fn recent(&self, most: usize) -> Result<Vec<ReportTrace>, Error> {
        let spool = self.spool().await?;
        let slabs = spool.values().rev();
        let newest = slabs.flat_map(|reports| reports.iter().rev()).take(most);
        let newest = newest.cloned().collect();
        drop(spool);
        self.trace_all(newest).await
    }

    async fn trace_all(&self, reports: Vec<Spooled>) -> Result<Vec<ReportTrace>, Error> {
        let begun = reports
            .iter()
            .filter_map(|report| self.begun(&report.slab))
            .min();
        let plans = match begun {
            Some(begun) => self.plans(begun).await?,
            None => Vec::new(),
        };
        let mut pages = Pages::default();
        let mut traces = Vec::new();
        for report in reports {
            traces.push(self.follow(report, &plans, &mut pages).await?);
        }
        Ok(traces)
    }

    async fn follow(
        &self,
        report: Spooled,
        plans: &[Planned],
        pages: &mut Pages,
    ) -> Result<ReportTrace, Error> {
        let packet = report.packet;
        let planned = plans.iter().find(|plan| plan.slabs.contains(&report.slab));
        let aggregation = report.metric.parse::<AggregationId>();
        let mut trace = ReportTrace {
            id: report.id,
            stage: ReportStage::Spooled,
            kept: 1,
            slab: Some(report.slab),
            metric: Some(report.metric),
            packet_id: Some(packet.to_string()),
            window: planned.map(|plan| plan.window),
            next: "it is batched in some seconds, when the ingestor's window has settled: query again then".to_owned(),
            ..ReportTrace::default()
        };
        let (Some(planned), Ok(aggregation)) = (planned, aggregation) else {
            return Ok(trace);
        };
        let key = (aggregation, planned.window);
        if !pages.batches.contains_key(&key) {
            let batches = self.batches(&key.0, key.1).await?;
            pages.batches.insert(key.clone(), batches);
        }
        let Some(batch) = pages.batches[&key].iter().find(|batch| batch.holds(packet)) else {
            if planned.done {
                trace.drop("a replay: its shares were posted before, under another id".to_owned());
            }
            return Ok(trace);
        };
        trace.stage = ReportStage::Batched;
        trace.batch = Some(ReportBatch::from(&batch.name));
        trace.check(batch.intake_results(packet));
        let name = batch.name.clone();
        if !pages.rosters.contains_key(&name) {
            pages
                .rosters
                .insert(name.clone(), self.rosters(&name).await?);
        }
        let rosters = pages.rosters[&name].clone();
        let decided = rosters.decided();
        trace.rosters = rosters;
        match decided {
            Some((AgreementOutcome::Summed, window)) => {
                let key = (name.aggregation, window);
                if !pages.totals.contains_key(&key) {
                    let total = portal::total(&self.world, &key.0, window).await.ok();
                    pages.totals.insert(key.clone(), total);
                }
                match &pages.totals[&key] {
                    Some(total) => trace.sum(window, !total.invalid.contains(&packet)),
                    None => trace.agree(window),
                }
            }
            Some((outcome, window)) => trace.give_up(outcome, window),
            None => trace.wait(),
        }
        Ok(trace)
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
                    Err(error) => Err(Error::processor(processor.buckets.role, error)),
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
            .map_err(|error| Error::processor(Role::First, error))?;
        let second = show(second, name)
            .await
            .map_err(|error| Error::processor(Role::Second, error))?;
        Ok([first, second])
    }
}

/// Returns the id of the first other report that contains one of this report's encrypted shares.
fn twin(spool: &Spool, digest: ReportDigest) -> Option<String> {
    let shares_one = |other: &&Spooled| {
        let pairs = other.digest.ciphertexts.iter().zip(&digest.ciphertexts);
        other.digest.report != digest.report && pairs.into_iter().any(|(a, b)| a == b)
    };
    let twin = spool.values().flatten().find(shares_one)?;
    Some(twin.id.clone())
}
