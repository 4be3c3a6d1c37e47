//! A single window of the sandbox, from the clients to its sums, with a check of every result.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tallybox_client::traffic::Metric;
use tallybox_model::id::BatchId;
use tallybox_model::role::Role;
use tallybox_model::task::QueueKind;
use tallybox_model::time::Window;
use tallybox_service::clock::Clock;
use tallybox_service::output::Output;
use tallybox_service::progress::Progress;
use tokio_util::sync::CancellationToken;

use crate::always::{
    GRACE_MINUTES, INGESTOR_WINDOW_MINUTES, PERIOD_MINUTES, SETTLE_SECS, window_of,
};
use crate::error::Error;
use crate::hostile::{PacketStatus, Sent};
use crate::layout::BucketKind;
use crate::lying_ingestor::{self, HONEST_PER_METRIC};
use crate::outcome::{AdmissionOutcome, MetricOutcome, NumberOutcome, RunOutcome, StageTiming};
use crate::roles::{InProcessRoles, MAX_ROUNDS};
use crate::schedule;
use crate::serve::{
    FinalReport, Flow, IntakeRecord, Kills, ServeOptions, Serving, SummedWindow, Time,
};

/// The default metrics: two histograms and two bit vectors, of 5 to 48 bins.
pub const DEFAULT_METRICS: [&str; 4] = [
    "PeriodicExposureNotification-v1",
    "PeriodicExposureNotificationInteraction-v1",
    "SecondaryAttack14d-v2",
    "DateExposure14d-v3",
];

/// Minimum number of honest packets of each metric, so that some are left to be posted to the real
/// ingestor.
const MIN_PACKETS_PER_METRIC: u64 = HONEST_PER_METRIC + 3;
/// Maximum number of packets in a run, which keeps every report in memory: four million.
const MAX_PACKETS: u64 = 1 << 22;
const MINUTE_MILLIS: i64 = 60_000;
/// Offset of the clients' reports from the start of the window.
const REPORTS_OFFSET_MILLIS: i64 = 10 * MINUTE_MILLIS;

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

/// Runs every role for one window, in the directory `root`, and checks the result.
///
/// # Errors
/// [`Error::Setting`] and [`Error::Occupied`] before anything is written; [`Error::Check`] if the
/// result is wrong; other errors if a role fails.
pub async fn run(root: &Path, options: &RunOptions, output: Output) -> Result<RunOutcome, Error> {
    check_options(options)?;
    let window = window_of(schedule::window()?.start())
        .ok_or_else(|| Error::Internal("the window is outside the supported range".to_owned()))?;
    let start = window.start().millis();
    let clock = Clock::manual(start + REPORTS_OFFSET_MILLIS);
    let sandbox = Serving::start(root, &serve_options(options, &clock), output).await?;
    let mut run = Run {
        sandbox,
        window,
        output,
        stages: Vec::new(),
    };
    let mut outcome = RunOutcome {
        outcome: "done",
        directory: root.to_owned(),
        kept: true,
        seed: options.seed,
        honest_packets: options.packets,
        hostile_packets: 0,
        metrics: Vec::new(),
        door: Vec::new(),
        hostile: Vec::new(),
        stages: Vec::new(),
    };
    let lying_packets = HONEST_PER_METRIC * options.metrics.len() as u64;
    run.post(options.packets - lying_packets, &mut outcome)
        .await?;
    clock.set(start + millis(INGESTOR_WINDOW_MINUTES) + SETTLE_SECS as i64 * 1000 + MINUTE_MILLIS);
    run.batch().await?;
    let sent = run.write_hostile_batches().await?;
    run.process().await?;
    clock.set(start + millis(PERIOD_MINUTES + GRACE_MINUTES + 1));
    run.process().await?;
    run.sum(&sent, &mut outcome).await?;
    outcome.sort_hostile();
    let packets = outcome.honest_packets + outcome.hostile_packets;
    let stages = run.stages.into_iter();
    outcome.stages = stages
        .map(|stage| StageTiming { packets, ..stage })
        .collect();
    run.sandbox.stop().await?;
    Ok(outcome)
}

fn millis(minutes: u32) -> i64 {
    i64::from(minutes) * MINUTE_MILLIS
}

/// Returns the options of a sandbox whose clock is set by hand, and that posts nothing by itself.
fn serve_options(options: &RunOptions, clock: &Clock) -> ServeOptions {
    ServeOptions {
        metrics: options.metrics.clone(),
        epsilon: options.epsilon,
        listen: ([127, 0, 0, 1], 0).into(),
        debug_listen: None,
        seed: options.seed,
        time: Time::Set(clock.clone()),
        packets: 0,
        traffic: 0.0,
        chaos: false,
        unfriendly: Vec::new(),
        attestation: None,
        lasting: None,
    }
}

fn check_options(options: &RunOptions) -> Result<(), Error> {
    let refuse = |problem: String| Err(Error::Setting(problem));
    let metrics = &options.metrics;
    let is_twice = |metric: &&Metric| {
        let same = metrics.iter().filter(|other| other.name == metric.name);
        same.count() > 1
    };
    if metrics.is_empty() {
        return refuse("at least one metric is required".to_owned());
    }
    if let Some(metric) = metrics.iter().find(is_twice) {
        return refuse(format!("metric {} is given twice", metric.name));
    }
    let fewest = MIN_PACKETS_PER_METRIC * metrics.len() as u64;
    if options.packets < fewest {
        return refuse(format!(
            "{} metrics need at least {fewest} packets",
            metrics.len()
        ));
    }
    if options.packets > MAX_PACKETS {
        return refuse("a run can have at most 4,194,304 packets".to_owned());
    }
    Ok(())
}

/// A run: a sandbox, and the stages that are done.
struct Run {
    sandbox: Serving,
    window: Window,
    output: Output,
    stages: Vec<StageTiming>,
}

impl Run {
    /// Records the duration of a stage, or adds to it.
    fn note(&mut self, stage: &'static str, begin: Instant) {
        let seconds = begin.elapsed().as_secs_f64();
        match self.stages.iter_mut().find(|other| other.stage == stage) {
            Some(same) => same.seconds += seconds,
            None => self.stages.push(StageTiming {
                stage,
                packets: 0,
                seconds,
            }),
        }
    }

    fn roles(&self) -> Result<Arc<InProcessRoles>, Error> {
        let roles = self.sandbox.in_process().cloned();
        roles.ok_or_else(|| Error::Internal("a run has no child processes".to_owned()))
    }

    /// Posts honest reports, then hostile ones of each kind, and checks the ingestor's answers.
    async fn post(&mut self, reports: u64, outcome: &mut RunOutcome) -> Result<(), Error> {
        let begin = Instant::now();
        let bar = self.output.progress(Some(reports), "clients");
        let traffic = Arc::clone(&self.sandbox.traffic);
        let reporter = self.sandbox.reporter()?;
        let no_more = CancellationToken::new();
        no_more.cancel();
        let first = (reports, bar.clone());
        let posting =
            Arc::clone(&traffic).run(reporter.clone(), first, no_more, CancellationToken::new());
        posting.await;
        bar.finish();
        for flow in 0..traffic.flows.len() {
            let aggregation = &traffic.flows[flow].aggregation;
            let mut answered = Vec::new();
            for (post, answer) in traffic.post_hostile(&reporter, flow).await? {
                let expected = post.expected_answer();
                if answer != Some(expected) {
                    return Err(Error::Check(format!(
                        "{aggregation}: the ingestor answered {answer:?} to a hostile report ({post}), \
                         expected {expected:?}"
                    )));
                }
                answered.push(AdmissionOutcome {
                    kind: post.to_string(),
                    reports: 1,
                    answer: expected,
                });
            }
            outcome.add_admissions(answered);
        }
        self.note("clients", begin);
        Ok(())
    }

    /// Runs the ingestor's batch job.
    async fn batch(&mut self) -> Result<(), Error> {
        let begin = Instant::now();
        self.roles()?.batch().await?;
        self.note("ingestor", begin);
        Ok(())
    }

    /// Writes the batches of the lying ingestor. Returns the hostile packets of each metric.
    async fn write_hostile_batches(&mut self) -> Result<Vec<Vec<Sent>>, Error> {
        let begin = Instant::now();
        let traffic = &self.sandbox.traffic;
        let metrics = traffic.flows.len();
        let mut sent = Vec::new();
        for flow in 0..metrics {
            let world = &self.sandbox.world;
            let bar = Progress::hidden();
            sent.push(
                lying_ingestor::write_batches(world, traffic, flow, metrics as u64, &bar).await?,
            );
        }
        self.note("lying-ingestor", begin);
        Ok(sent)
    }

    /// Runs workflow managers and workers until nothing is due.
    async fn process(&mut self) -> Result<(), Error> {
        let roles = self.roles()?;
        for _ in 0..MAX_ROUNDS {
            let mut tasks = roles.schedule().await?;
            for (stage, role, kind) in [
                ("intake-first", Role::First, QueueKind::Intake),
                ("intake-second", Role::Second, QueueKind::Intake),
                ("aggregate-first", Role::First, QueueKind::Aggregate),
                ("aggregate-second", Role::Second, QueueKind::Aggregate),
            ] {
                let begin = Instant::now();
                let bar = self.output.progress(None, stage);
                roles.work(role, kind, || tasks += 1).await?;
                bar.finish();
                self.note(stage, begin);
            }
            if tasks == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Adds the sum parts, audits the sums, and checks the outcome of every hostile packet.
    async fn sum(&mut self, sent: &[Vec<Sent>], outcome: &mut RunOutcome) -> Result<(), Error> {
        let begin = Instant::now();
        let now = self.sandbox.now();
        let summed = self.sandbox.audit.check_windows(now).await?;
        for (discrepancy, sentence) in self.sandbox.traffic.take_discrepancies() {
            self.sandbox.audit.discrepancies.note(discrepancy, sentence);
        }
        let report = FinalReport::from_audit(&mut self.sandbox.audit, 0, Kills::default()).await?;
        let is_summed = summed.iter().all(|summed| summed.window == self.window);
        let traffic = Arc::clone(&self.sandbox.traffic);
        if !report.good || !is_summed || summed.len() != traffic.flows.len() {
            return Err(Error::Check(report.problems.join("; ")));
        }
        for (flow, sent) in traffic.flows.iter().zip(sent) {
            let Some(summed) = summed.iter().find(|total| total.metric == flow.aggregation) else {
                return Err(Error::Check(format!("{}: no sum", flow.aggregation)));
            };
            outcome.hostile_packets += sent.len() as u64;
            self.check_hostile(flow, sent, summed, outcome).await?;
            outcome.metrics.push(self.metric_outcome(flow, summed)?);
        }
        self.note("portal", begin);
        Ok(())
    }

    /// Checks that every hostile packet of a metric had the expected outcome.
    async fn check_hostile(
        &self,
        flow: &Flow,
        sent: &[Sent],
        summed: &SummedWindow,
        outcome: &mut RunOutcome,
    ) -> Result<(), Error> {
        let mut records: HashMap<BatchId, [IntakeRecord; 2]> = HashMap::new();
        for Sent { batch, .. } in sent {
            if let Entry::Vacant(entry) = records.entry(batch.id) {
                let [first, second] = &self.sandbox.lookup.processors;
                let missing =
                    || Error::Internal(format!("the prepared batch of {batch} does not exist"));
                let first = IntakeRecord::read(first, batch).await?;
                let second = IntakeRecord::read(second, batch).await?;
                entry.insert([first.ok_or_else(missing)?, second.ok_or_else(missing)?]);
            }
        }
        for packet in sent {
            let repeating = sent.iter().filter(|other| {
                other.batch.id == packet.batch.id && other.attack.repeats_in_batch()
            });
            let repeating = repeating.count() as u64;
            let record = records[&packet.batch.id].each_ref();
            let status = PacketStatus::observe(packet, repeating, record, &summed.total.invalid);
            if !packet.attack.expects(&status) {
                let [first, second] = status.intake;
                return Err(Error::Check(format!(
                    "{}: hostile packet {} ({}) had the wrong outcome: first: {first}, second: {second}, then: {status}",
                    flow.aggregation, packet.id, packet.attack
                )));
            }
            outcome.add_hostile(packet, &status);
        }
        Ok(())
    }

    fn metric_outcome(&self, flow: &Flow, summed: &SummedWindow) -> Result<MetricOutcome, Error> {
        let metric = flow.traffic.metric();
        let truth = metric.encoding.sum(&summed.truth.true_counts);
        let number = match truth.map_err(|error| Error::Internal(error.to_string()))? {
            Some(truth) => {
                let estimate = summed.total.estimated_sum(flow.metric.epsilon);
                Some(NumberOutcome {
                    truth: u64::try_from(truth).unwrap_or(u64::MAX),
                    estimate: estimate.map_err(|error| Error::Check(error.to_string()))?,
                })
            }
            None => None,
        };
        let sum_part = |role: Role| {
            let parts = &self.sandbox.audit.parts;
            let name = parts.name(&flow.aggregation, self.window, role);
            format!("{}/{}", BucketKind::Sum.path(role), name.objects().header)
        };
        let total = &summed.total;
        Ok(MetricOutcome {
            name: metric.name,
            meaning: metric.meaning,
            bins: metric.bins(),
            epsilon: flow.metric.epsilon,
            batches: total.batches.len(),
            packets_sent: self.sandbox.audit.packets_in(&total.batches),
            packets_accepted: total.accepted,
            true_counts: summed.truth.true_counts.clone(),
            parts: total.parts.clone(),
            sums: total.sums.clone(),
            estimates: summed.estimates.clone(),
            sum_parts: Role::ALL.map(sum_part),
            number,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
