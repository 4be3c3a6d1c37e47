//! The complete pipeline from clients to sums, and the check of its result.

use std::path::Path;
use std::time::Instant;

use tallybox_client::traffic::Metric;
use tallybox_facilitator::config::Points;
use tallybox_model::role::Role;
use tallybox_model::time::Window;
use tallybox_service::output::Output;

use crate::check::{check_hostile, check_total};
use crate::error::Error;
use crate::flow::{Flow, MIN_PACKETS_PER_METRIC, flows};
use crate::keys::bins_of;
use crate::layout::{BucketKind, Served};
use crate::observe::Notes;
use crate::outcome::{MetricOutcome, NumberOutcome, RunOutcome};
use crate::portal::{self, Total};
use crate::schedule;
use crate::stages::{Watch, aggregate_all, ingest_all, intake_all, post_all};
use crate::world::World;

/// The default metrics: two histograms and two bit vectors, of 5 to 48 bins.
pub const DEFAULT_METRICS: [&str; 4] = [
    "PeriodicExposureNotification-v1",
    "PeriodicExposureNotificationInteraction-v1",
    "SecondaryAttack14d-v2",
    "DateExposure14d-v3",
];

/// Options of a run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Packets of honest clients, over all metrics.
    pub packets: u64,
    /// The metrics, each at most once.
    pub metrics: Vec<Metric>,
    /// Makes everything reproducible, including keys; for tests.
    pub seed: Option<u64>,
    /// Epsilon of the randomised response for all metrics; `None` uses the epsilon of each metric.
    pub epsilon: Option<f64>,
}

/// Runs every role once, in the directory `root`, and checks the result.
///
/// # Errors
/// [`Error::Setting`] and [`Error::Occupied`] before anything is written; [`Error::Check`] if the
/// result is wrong; other errors if a role fails.
pub async fn run(root: &Path, options: &RunOptions, output: Output) -> Result<RunOutcome, Error> {
    let traffic_seed = options.seed.unwrap_or_else(rand::random);
    check_options(options)?;
    let mut watch = Watch::new(output);
    let world = World::for_bins(
        root,
        options.seed,
        Points::Pinned,
        &bins_of(&options.metrics),
    )?;
    world
        .layout
        .write_ingestor(&options.metrics, options.epsilon, &Served::default())?;
    let mut flows = flows(&world, options, traffic_seed)?;
    let mut outcome = RunOutcome {
        outcome: "done",
        directory: root.to_owned(),
        kept: true,
        seed: options.seed,
        honest_packets: options.packets,
        hostile_packets: flows.iter().map(Flow::attacks).sum(),
        metrics: Vec::new(),
        door: Vec::new(),
        hostile: Vec::new(),
        stages: Vec::new(),
    };
    flows = post_all(&world, flows, &mut watch, &mut outcome).await?;
    flows = ingest_all(&world, flows, traffic_seed, &mut watch).await?;
    let processors = [
        world.processor(Role::First)?,
        world.processor(Role::Second)?,
    ];
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
        let names = || flow.names();
        let notes = [
            Notes::read(&processors[0], names(), summaries.0).await?,
            Notes::read(&processors[1], names(), summaries.1).await?,
        ];
        check_hostile(flow, &notes, &total, &mut outcome)?;
        outcome.metrics.push(metric_outcome(flow, window, total)?);
    }
    watch.note("portal", &flows, begin);
    outcome.sort_hostile();
    outcome.stages = watch.finish();
    Ok(outcome)
}

fn check_options(options: &RunOptions) -> Result<(), Error> {
    let refuse = |problem: String| Err(Error::Setting(problem));
    let metrics = &options.metrics;
    let twice = |metric: &Metric| {
        metrics
            .iter()
            .filter(|other| other.name == metric.name)
            .count()
            > 1
    };
    if metrics.is_empty() {
        return refuse("at least one metric is required".to_owned());
    }
    if let Some(metric) = metrics.iter().find(|metric| twice(metric)) {
        return refuse(format!("metric {} is given twice", metric.name));
    }
    let fewest = MIN_PACKETS_PER_METRIC * metrics.len() as u64;
    if options.packets < fewest {
        return refuse(format!(
            "{} metrics need at least {fewest} packets",
            metrics.len()
        ));
    }
    // A sum must stay below the modulus; the limit of 2^31 leaves a margin for the hostile packets.
    if options.packets > 1 << 31 {
        return refuse("a run can have at most 2,147,483,648 packets".to_owned());
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
    let estimate = metric
        .encoding
        .estimated_sum(&estimates)
        .map_err(internal)?;
    let number = truth.zip(estimate);
    let number = number.map(|(truth, estimate)| NumberOutcome {
        truth: u64::try_from(truth).unwrap_or(u64::MAX),
        estimate,
    });
    let sum_part = |role: Role| {
        let name = portal::sum_part_name(&flow.aggregation, window, role)?;
        Ok::<_, Error>(format!(
            "{}/{}",
            BucketKind::Sum.path(role),
            name.objects().header
        ))
    };
    Ok(MetricOutcome {
        name: metric.name,
        meaning: metric.meaning,
        bins: metric.bins(),
        epsilon: flow.epsilon,
        batches: flow.names().count(),
        packets_sent: flow.lying() + flow.accepted[0],
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
