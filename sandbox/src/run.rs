//! The whole way from clients to sums, and the check that what came out is what went in.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tallybox_client::traffic::{Metric, Tally, Traffic};
use tallybox_facilitator::aggregate::{AggregateSummary, AggregateTask, aggregate};
use tallybox_facilitator::config::Points;
use tallybox_facilitator::intake::{Progress, intake};
use tallybox_facilitator::processor::Processor;
use tallybox_model::digest::Digest;
use tallybox_model::id::AggregationId;
use tallybox_model::role::Role;
use tallybox_model::time::Window;
use tallybox_service::output::Output;

use crate::error::Error;
use crate::hostile::{Attack, Sent};
use crate::ingest::{self, BatchPair, BatchSpec, Ingestor};
use crate::layout::Kind;
use crate::observe::{Notes, fates};
use crate::outcome::{MetricOutcome, NumberOutcome, Outcome, Stage};
use crate::plan::{BatchPlan, Made};
use crate::portal::{self, Total};
use crate::schedule;
use crate::stream::in_order;
use crate::world::World;

/// Ingestion batches of each metric.
const BATCHES: u64 = 3;
/// Honest packets that each metric needs: three a batch, for the hostile ones that are made after their likeness.
pub const FEWEST: u64 = 3 * BATCHES;
/// Hostile packets of each kind that a run has at least.
const HOSTILE: u64 = 3;

/// The metrics of a run that names none: two histograms and two vectors, of 5 to 48 bins.
pub const DEFAULT_METRICS: [&str; 4] = [
    "PeriodicExposureNotification-v1",
    "PeriodicExposureNotificationInteraction-v1",
    "SecondaryAttack14d-v2",
    "DateExposure14d-v3",
];

/// What to run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Packets of honest clients, over all metrics.
    pub packets: u64,
    /// The metrics, each once.
    pub metrics: Vec<Metric>,
    /// Makes everything reproducible, keys included; for tests.
    pub seed: Option<u64>,
    /// Parameter of the randomised response; each metric's own if not given.
    pub epsilon: Option<f64>,
}

/// One metric on its way.
struct Flow {
    traffic: Traffic,
    aggregation: AggregationId,
    epsilon: f64,
    batches: Vec<BatchPlan>,
    /// What the sums have to come to.
    expected: Tally,
    hostile: Vec<Sent>,
}

/// Runs every role once, in the directory `root`, and checks the result.
///
/// # Errors
/// [`Error::Setting`] and [`Error::Occupied`] before anything is done; [`Error::Check`] when what came out is not what
/// went in; others when a role fails.
pub async fn run(root: &Path, options: &RunOptions, output: Output) -> Result<Outcome, Error> {
    let traffic_seed = options.seed.unwrap_or_else(rand::random);
    check_options(options)?;
    let mut watch = Watch {
        output,
        stages: Vec::new(),
    };
    let world = World::create(root, options.seed, Points::Pinned)?;
    let mut flows = flows(&world, options, traffic_seed)?;
    let mut outcome = Outcome {
        outcome: "done",
        directory: root.to_owned(),
        kept: true,
        seed: options.seed,
        honest_packets: options.packets,
        hostile_packets: flows
            .iter()
            .flat_map(|flow| &flow.batches)
            .map(|batch| batch.attacks.len() as u64)
            .sum(),
        metrics: Vec::new(),
        hostile: Vec::new(),
        stages: Vec::new(),
    };
    flows = ingest_all(&world, flows, traffic_seed, &mut watch).await?;
    let processors = [world.processor(Role::First)?, world.processor(Role::Second)?];
    for processor in &processors {
        intake_all(processor, &flows, &mut watch).await?;
    }
    let window = schedule::window()?;
    let first = aggregate_all(&processors[0], &flows, window, &mut watch).await?;
    let second = aggregate_all(&processors[1], &flows, window, &mut watch).await?;
    let begin = Instant::now();
    for (flow, summaries) in flows.iter().zip(first.iter().zip(&second)) {
        let total = portal::total(&world, &flow.aggregation, window).await?;
        check_total(flow, &total)?;
        let names = || flow.batches.iter().map(|batch| &batch.name);
        let notes = [
            Notes::read(&processors[0], names(), summaries.0).await?,
            Notes::read(&processors[1], names(), summaries.1).await?,
        ];
        judge_hostile(flow, &notes, &total, &mut outcome)?;
        outcome.metrics.push(metric_outcome(flow, window, total)?);
    }
    watch.note("portal", flows.iter().map(Flow::packets).sum(), begin);
    outcome.sort_hostile();
    outcome.stages = watch.stages;
    Ok(outcome)
}

/// Times the stages and shows how far they are.
struct Watch {
    output: Output,
    stages: Vec<Stage>,
}

impl Watch {
    fn note(&mut self, stage: &'static str, packets: u64, begin: Instant) {
        self.stages.push(Stage {
            stage,
            packets,
            seconds: begin.elapsed().as_secs_f64(),
        });
    }

    /// A bar for a stage over so many packets.
    fn bar(&self, label: &str, flows: &[Flow]) -> tallybox_service::progress::Progress {
        self.output
            .progress(Some(flows.iter().map(Flow::bytes).sum()), label)
    }
}

impl Flow {
    fn packets(&self) -> u64 {
        self.batches.iter().map(BatchPlan::packets).sum()
    }

    /// About how many bytes its packets are, on one side.
    fn bytes(&self) -> u64 {
        self.packets() * packet_bytes(self.traffic.metric().bins())
    }
}

/// About how many bytes a packet of the first processor has in a batch.
pub(crate) fn packet_bytes(bins: usize) -> u64 {
    // Four bytes for each element of the proof; point, tag, identifiers and lengths.
    (4 * (bins + 3 + (bins + 1).next_power_of_two()) + 81 + 36 + 24) as u64
}

/// How many packets are made at a time: about two mebibytes of them.
pub(crate) fn chunk(bins: usize) -> u64 {
    ((2 << 20) / packet_bytes(bins)).clamp(16, 2048)
}

fn check_options(options: &RunOptions) -> Result<(), Error> {
    let refuse = |problem: String| Err(Error::Setting(problem));
    let metrics = &options.metrics;
    let twice = |metric: &Metric| metrics.iter().filter(|other| other.name == metric.name).count() > 1;
    if metrics.is_empty() {
        return refuse("at least one metric is needed".to_owned());
    }
    if let Some(metric) = metrics.iter().find(|metric| twice(metric)) {
        return refuse(format!("metric {} is named twice", metric.name));
    }
    let fewest = FEWEST * metrics.len() as u64;
    if options.packets < fewest {
        return refuse(format!(
            "{} metrics need at least {fewest} packets",
            metrics.len()
        ));
    }
    // A sum has to stay below the modulus, and 2^31 leaves room for the hostile packets.
    if options.packets > 1 << 31 {
        return refuse("more than 2,147,483,648 packets are too many".to_owned());
    }
    Ok(())
}

/// Divides the packets among metrics and batches.
fn flows(world: &World, options: &RunOptions, seed: u64) -> Result<Vec<Flow>, Error> {
    let metrics = options.metrics.len() as u64;
    let copies = HOSTILE.div_ceil(metrics);
    let flow = |(place, metric): (u64, &Metric)| {
        let epsilon = options.epsilon.unwrap_or(metric.epsilon);
        let traffic = Traffic::new(seed, metric, world.keys.for_clients(), Some(epsilon))?;
        let aggregation: AggregationId = metric
            .name
            .parse()
            .map_err(|error| Error::Internal(format!("metric {}: {error}", metric.name)))?;
        let honest = share(options.packets, place, metrics);
        let batches = plan(seed, &aggregation, honest, copies)?;
        Ok(Flow {
            traffic,
            aggregation,
            epsilon,
            batches,
            expected: Tally::new(metric.bins()),
            hostile: Vec::new(),
        })
    };
    (0..).zip(&options.metrics).map(flow).collect()
}

/// Part `place` of `whole` divided into `parts` as evenly as can be.
fn share(whole: u64, place: u64, parts: u64) -> u64 {
    whole / parts + u64::from(place < whole % parts)
}

/// The batches of one metric: honest packets in a row, hostile ones dealt out in turn, replays last.
fn plan(seed: u64, aggregation: &AggregationId, honest: u64, copies: u64) -> Result<Vec<BatchPlan>, Error> {
    let mut batches = Vec::new();
    let mut first = 0;
    for ordinal in 0..BATCHES {
        let (name, interval) = schedule::batch(seed, aggregation, ordinal, BATCHES)?;
        let honest = share(honest, ordinal, BATCHES);
        let mut attacks = Vec::new();
        for copy in 0..copies {
            for (turn, attack) in (0..).zip(Attack::every(first + copy, copy)) {
                let batch = if matches!(attack, Attack::Replay { .. }) {
                    BATCHES - 1
                } else {
                    turn % BATCHES
                };
                if batch == ordinal {
                    attacks.push(attack);
                }
            }
        }
        batches.push(BatchPlan {
            name,
            interval,
            first,
            honest,
            attacks,
            ordinal,
        });
        first += honest;
    }
    Ok(batches)
}

/// Clients and ingestor: makes all packets and writes all ingestion batches.
async fn ingest_all(
    world: &World,
    flows: Vec<Flow>,
    seed: u64,
    watch: &mut Watch,
) -> Result<Vec<Flow>, Error> {
    let begin = Instant::now();
    let ingestor = world.ingestor();
    let bar = watch.bar("clients", &flows);
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
                .map_err(|error| Error::Internal(format!("clients: {error}")))??;
        }
        done.push(flow);
    }
    bar.finish();
    watch.note(
        "clients-and-ingestor",
        done.iter().map(Flow::packets).sum(),
        begin,
    );
    Ok(done)
}

async fn ingestor_batch(
    ingestor: &Ingestor,
    flow: &Flow,
    plan: &BatchPlan,
    seed: u64,
) -> Result<BatchPair, Error> {
    let metric = flow.traffic.metric();
    let parameters = ingest::parameters(metric.name, metric.bins(), flow.epsilon)?;
    let origin = Digest::of(format!("sandbox {seed} {} {}", plan.name, plan.packets()).as_bytes());
    ingestor
        .begin(BatchSpec {
            name: plan.name.clone(),
            parameters,
            interval: plan.interval,
            origin,
        })
        .await
}

fn write_batch(
    flow: &mut Flow,
    plan: &BatchPlan,
    mut pair: BatchPair,
    bar: &tallybox_service::progress::Progress,
) -> Result<(), Error> {
    let Flow {
        traffic,
        expected,
        hostile,
        ..
    } = flow;
    let bytes = packet_bytes(traffic.metric().bins());
    let make = |position| plan.make(traffic, position).map_err(Error::from);
    let take = |Made { generated, attack }: Made| {
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
    in_order(plan.packets(), chunk(traffic.metric().bins()), make, take)?;
    pair.finish().map(|_| ())
}

async fn intake_all(processor: &Arc<Processor>, flows: &[Flow], watch: &mut Watch) -> Result<(), Error> {
    let begin = Instant::now();
    let stage = ["intake-first", "intake-second"][processor.role.index()];
    let bar = watch.bar(stage, flows);
    let progress: Progress = {
        let bar = bar.clone();
        Arc::new(move |packets, bytes| bar.advance(packets, bytes))
    };
    for batch in flows.iter().flat_map(|flow| &flow.batches) {
        let done = intake(processor, &batch.name, Arc::clone(&progress)).await;
        done.map_err(|error| refused(processor, error))?;
    }
    bar.finish();
    watch.note(stage, flows.iter().map(Flow::packets).sum(), begin);
    Ok(())
}

async fn aggregate_all(
    processor: &Arc<Processor>,
    flows: &[Flow],
    window: Window,
    watch: &mut Watch,
) -> Result<Vec<AggregateSummary>, Error> {
    let begin = Instant::now();
    let stage = ["aggregate-first", "aggregate-second"][processor.role.index()];
    let mut summaries = Vec::new();
    for flow in flows {
        let aggregation = flow.aggregation.clone();
        let task = AggregateTask {
            aggregation,
            window,
            batches: Vec::new(),
            dry_run: false,
        };
        let done = aggregate(processor, &task, tallybox_facilitator::intake::no_progress()).await;
        summaries.push(done.map_err(|error| refused(processor, error))?);
    }
    watch.note(stage, flows.iter().map(Flow::packets).sum(), begin);
    Ok(summaries)
}

fn refused(processor: &Processor, error: tallybox_facilitator::error::Error) -> Error {
    Error::Processor {
        role: processor.role,
        source: Box::new(error),
    }
}

/// The sums have to be those of the bits that were shared, and of all batches.
fn check_total(flow: &Flow, total: &Total) -> Result<(), Error> {
    let fail = |problem: String| Err(Error::Check(format!("{}: {problem}", flow.aggregation)));
    let mut batches: Vec<_> = flow.batches.iter().map(|batch| batch.name.id).collect();
    batches.sort();
    if total.batches != batches {
        return fail(format!(
            "{} batches were summed of {}",
            total.batches.len(),
            batches.len()
        ));
    }
    if total.accepted != flow.expected.packets {
        return fail(format!(
            "{} packets were counted, {} are good",
            total.accepted, flow.expected.packets
        ));
    }
    if total.sums != flow.expected.noisy_counts {
        let (sums, expected) = (&total.sums, &flow.expected.noisy_counts);
        return fail(format!(
            "the sums are {sums:?}, but the bits that were shared add to {expected:?}"
        ));
    }
    Ok(())
}

/// Every hostile packet has to meet its fate.
fn judge_hostile(flow: &Flow, notes: &[Notes; 2], total: &Total, outcome: &mut Outcome) -> Result<(), Error> {
    for (sent, fate) in flow.hostile.iter().zip(fates(&flow.hostile, notes, total)) {
        if !sent.attack.deserves(&fate) {
            let [first, second] = fate.intake;
            return Err(Error::Check(format!(
                "{}: hostile packet {} ({}) met the wrong fate: first: {first}, second: {second}, then: {fate}",
                flow.aggregation, sent.id, sent.attack
            )));
        }
        outcome.add_hostile(sent, &fate);
    }
    Ok(())
}

fn metric_outcome(flow: &Flow, window: Window, total: Total) -> Result<MetricOutcome, Error> {
    let metric = flow.traffic.metric();
    let noise = flow
        .traffic
        .noise()
        .ok_or_else(|| Error::Internal("traffic without noise".to_owned()))?;
    let estimates: Vec<_> = total
        .sums
        .iter()
        .map(|sum| noise.debias(*sum, total.accepted))
        .collect();
    let internal = |error: tallybox_client::EncodeError| Error::Internal(error.to_string());
    let truth = metric
        .encoding
        .sum(&flow.expected.true_counts)
        .map_err(internal)?;
    let estimate = metric.encoding.estimated_sum(&estimates).map_err(internal)?;
    let number = truth.zip(estimate);
    let number = number.map(|(truth, estimate)| NumberOutcome {
        truth: u64::try_from(truth).unwrap_or(u64::MAX),
        estimate,
    });
    let sum_part = |role: Role| {
        let name = portal::sum_part_name(&flow.aggregation, window, role)?;
        Ok::<_, Error>(format!("{}/{}", Kind::Sum.path(role), name.objects().header))
    };
    Ok(MetricOutcome {
        name: metric.name,
        meaning: metric.meaning,
        bins: metric.bins(),
        epsilon: flow.epsilon,
        batches: flow.batches.len(),
        packets_sent: flow.packets(),
        packets_accepted: total.accepted,
        true_counts: flow.expected.true_counts.clone(),
        parts: total.parts,
        sums: total.sums,
        estimates,
        sum_parts: [sum_part(Role::First)?, sum_part(Role::Second)?],
        number,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
