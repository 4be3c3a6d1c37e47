//! The stages of a run: clients and ingestor, simulated ingestor, intake, aggregation.

mod post;

pub(crate) use post::post_all;

use std::sync::Arc;
use std::time::Instant;

use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::error::Error as FacilitatorError;
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::{ProgressCallback, no_progress};
use tallybox_facilitator::sum::AggregateSummary;
use tallybox_model::digest::Digest;
use tallybox_model::role::Role;
use tallybox_model::time::Window;
use tallybox_service::output::Output;
use tallybox_service::progress::Progress as Bar;

use crate::error::Error;
use crate::flow::Flow;
use crate::hostile::{Attack, Sent};
use crate::ingest::{self, BatchPair, BatchSpec, SimulatedIngestor};
use crate::outcome::StageTiming;
use crate::plan::{BatchPlan, Made, chunk, packet_bytes};
use crate::stream::in_order;
use crate::world::World;

/// Times the stages and shows their progress.
pub(crate) struct Watch {
    output: Output,
    stages: Vec<StageTiming>,
}

impl Watch {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            output,
            stages: Vec::new(),
        }
    }

    /// Records the end of a stage.
    pub(crate) fn note(&mut self, stage: &'static str, flows: &[Flow], begin: Instant) {
        self.stages.push(StageTiming {
            stage,
            packets: flows.iter().map(Flow::packets).sum(),
            seconds: begin.elapsed().as_secs_f64(),
        });
    }

    /// Returns the recorded stages.
    pub(crate) fn finish(self) -> Vec<StageTiming> {
        self.stages
    }

    /// Starts a progress bar for a stage that processes these flows.
    pub(super) fn bar(&self, label: &str, flows: &[Flow], role: Role) -> Bar {
        self.output
            .progress(Some(flows.iter().map(|flow| flow.bytes(role)).sum()), label)
    }
}

/// Makes all packets of the lying ingestor's batches, including hostile ones, and writes the
/// batches.
pub(crate) async fn ingest_all(
    world: &World,
    flows: Vec<Flow>,
    seed: u64,
    watch: &mut Watch,
) -> Result<Vec<Flow>, Error> {
    let begin = Instant::now();
    let ingestor = world.ingestor();
    let bar = watch.bar("lying-ingestor", &flows, Role::First);
    let mut done = Vec::new();
    for mut flow in flows {
        for plan in flow.batches.clone() {
            let pair = ingestor_batch(&ingestor, &flow, &plan, seed).await?;
            let bar = bar.clone();
            let writing = tokio::task::spawn_blocking(move || {
                write_batch(&mut flow, &plan, pair, &bar)?;
                Ok::<_, Error>(flow)
            });
            flow = writing
                .await
                .map_err(|error| Error::Internal(format!("lying ingestor: {error}")))??;
        }
        done.push(flow);
    }
    bar.finish();
    watch.note("lying-ingestor", &done, begin);
    Ok(done)
}

async fn ingestor_batch(
    ingestor: &SimulatedIngestor,
    flow: &Flow,
    plan: &BatchPlan,
    seed: u64,
) -> Result<BatchPair, Error> {
    let metric = flow.traffic.metric();
    let parameters = ingest::parameters(metric.name, metric.bins(), flow.epsilon)?;
    let origin =
        Digest::sha256(format!("sandbox {seed} {} {}", plan.name, plan.packets()).as_bytes());
    ingestor
        .begin(BatchSpec {
            name: plan.name.clone(),
            parameters,
            interval: plan.interval,
            origin,
        })
        .await
}

/// Makes the packets of a batch on all cores and writes them to both mailboxes, in order. Blocking.
fn write_batch(
    flow: &mut Flow,
    plan: &BatchPlan,
    mut pair: BatchPair,
    bar: &Bar,
) -> Result<(), Error> {
    let Flow {
        traffic,
        expected,
        hostile,
        ..
    } = flow;
    let bytes = packet_bytes(traffic.metric().bins(), Role::First);
    let make = |position| plan.make(traffic, position).map_err(Error::from);
    let write = |Made { generated, attack }: Made| {
        let point = pair.point(&generated.report);
        pair.append(
            &generated.report,
            attack.map_or(point, |attack| attack.point(point)),
        )?;
        if attack.is_none_or(Attack::is_counted) {
            expected.add(&generated);
        }
        let (id, batch) = (generated.report.id, plan.name.clone());
        hostile.extend(attack.map(|attack| Sent { attack, id, batch }));
        bar.advance(1, bytes);
        Ok(())
    };
    in_order(plan.packets(), chunk(traffic.metric().bins()), make, write)?;
    pair.finish().map(|_| ())
}

/// Runs the intake of all batches at a processor.
pub(crate) async fn intake_all(
    processor: &Arc<Processor>,
    flows: &[Flow],
    watch: &mut Watch,
) -> Result<(), Error> {
    let begin = Instant::now();
    let stage = ["intake-first", "intake-second"][processor.buckets.role.index()];
    let bar = watch.bar(stage, flows, processor.buckets.role);
    let progress: ProgressCallback = {
        let bar = bar.clone();
        Arc::new(move |packets, bytes| bar.advance(packets, bytes))
    };
    for batch in flows.iter().flat_map(Flow::names) {
        let done = intake(processor, batch, Arc::clone(&progress)).await;
        done.map_err(|error| refused(processor, error))?;
    }
    bar.finish();
    watch.note(stage, flows, begin);
    Ok(())
}

/// Aggregates every metric at a processor.
pub(crate) async fn aggregate_all(
    processor: &Arc<Processor>,
    flows: &[Flow],
    window: Window,
    watch: &mut Watch,
) -> Result<Vec<AggregateSummary>, Error> {
    let begin = Instant::now();
    let stage = ["aggregate-first", "aggregate-second"][processor.buckets.role.index()];
    let mut summaries = Vec::new();
    for flow in flows {
        let aggregation = flow.aggregation.clone();
        let task = AggregateTask {
            aggregation,
            window,
            batches: Vec::new(),
            dry_run: false,
        };
        let done = aggregate(processor, &task, no_progress()).await;
        summaries.push(done.map_err(|failed| refused(processor, failed.error))?);
    }
    watch.note(stage, flows, begin);
    Ok(summaries)
}

fn refused(processor: &Processor, error: FacilitatorError) -> Error {
    Error::Processor {
        role: processor.buckets.role,
        source: Box::new(error),
    }
}
