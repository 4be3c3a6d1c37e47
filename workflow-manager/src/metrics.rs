//! Metrics, with names of the form `workflow_manager_<thing>_<unit>[_total]`. All of them are 0
//! from the start.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tallybox_model::time::BatchTime;

use crate::due::{Assessment, BatchStage, WindowStage};
use crate::manager::Observation;
use crate::summary::RunSummary;
use tallybox_model::task::QueueKind;

/// The kinds of task.
const KINDS: [&str; 4] = ["intake", "roster", "agree", "aggregate"];
/// The stages of a window that is not done.
const STAGES: [&str; 11] = [
    "collecting",
    "grace",
    "undecided",
    "empty",
    "peer-validations",
    "one-sided",
    "peer-roster",
    "due",
    "started",
    "with-later",
    "held",
];

/// The labels of a kind of task.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct KindLabels {
    /// The word for the kind.
    pub kind: &'static str,
}

/// The labels of a stage of a window.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct StageLabels {
    /// The word for the stage.
    pub stage: &'static str,
}

/// The labels of a queue.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct QueueLabels {
    /// The word for the queue.
    pub queue: &'static str,
}

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    started: Family<KindLabels, Counter>,
    windows: Family<StageLabels, Gauge>,
    runs: Counter,
    failed_runs: Counter,
    failures: Counter,
    left: Gauge,
    skipped: Gauge,
    skipped_total: Counter,
    given_up: Counter,
    given_up_now: Gauge,
    open_batches: Gauge,
    open_batch_age: Gauge,
    waiting_window_age: Gauge,
    rejected: Family<QueueLabels, Gauge>,
    late: Gauge,
    unknown_objects: Gauge,
    last_success: Gauge,
    leading: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Creates and registers all metrics with the value 0.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("workflow_manager"),
            started: Family::default(),
            windows: Family::default(),
            runs: Counter::default(),
            failed_runs: Counter::default(),
            failures: Counter::default(),
            left: Gauge::default(),
            skipped: Gauge::default(),
            skipped_total: Counter::default(),
            given_up: Counter::default(),
            given_up_now: Gauge::default(),
            open_batches: Gauge::default(),
            open_batch_age: Gauge::default(),
            waiting_window_age: Gauge::default(),
            rejected: Family::default(),
            late: Gauge::default(),
            unknown_objects: Gauge::default(),
            last_success: Gauge::default(),
            leading: Gauge::default(),
        };
        metrics.register();
        // Creates every label value, so that all counters are 0 from the start.
        for kind in KINDS {
            let _ = metrics.started.get_or_create_owned(&KindLabels { kind });
        }
        for queue in [QueueKind::Intake, QueueKind::Aggregate] {
            metrics.rejected(queue, 0);
        }
        for stage in STAGES {
            let _ = metrics.windows.get_or_create_owned(&StageLabels { stage });
        }
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "tasks_started",
            "Started tasks, including repetitions",
            self.started.clone(),
        );
        registry.register(
            "windows",
            "Windows that are not done, by stage",
            self.windows.clone(),
        );
        registry.register(
            "rejected_tasks",
            "Tasks that workers rejected and whose work has not been done since",
            self.rejected.clone(),
        );
        for (name, help, counter) in [
            ("runs", "Runs, including failed ones", &self.runs),
            (
                "runs_failed",
                "Runs in which something failed",
                &self.failed_runs,
            ),
            (
                "failures",
                "Tasks and aggregations that failed, counted in each run",
                &self.failures,
            ),
            (
                "windows_given_up",
                "Windows given up because they passed the horizon without being summed",
                &self.given_up,
            ),
            (
                "peer_skipped_batches",
                "Batches left out of a window because the peer had not validated them",
                &self.skipped_total,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, gauge) in [
            (
                "tasks_left",
                "Due tasks that were left for the next run",
                &self.left,
            ),
            (
                "peer_skipped_batches_now",
                "Complete batches of closed windows that the peer has not validated",
                &self.skipped,
            ),
            (
                "windows_given_up_now",
                "Windows that were given up and that no operator has acknowledged",
                &self.given_up_now,
            ),
            (
                "open_batches",
                "Batches without our intake or without the peer's validation",
                &self.open_batches,
            ),
            (
                "open_batch_age_seconds",
                "Seconds since the date of the oldest open batch; 0 without one",
                &self.open_batch_age,
            ),
            (
                "waiting_window_age_seconds",
                "Seconds since the end of the oldest window that is not done; 0 without one",
                &self.waiting_window_age,
            ),
            (
                "late_batches",
                "Complete batches that arrived too late for their window",
                &self.late,
            ),
            (
                "foreign_objects",
                "Objects with unknown names that the last run ignored",
                &self.unknown_objects,
            ),
            (
                "last_success_seconds",
                "End of the last run without a failure, in seconds since 1970",
                &self.last_success,
            ),
            (
                "leading",
                "1 while this process is the leader",
                &self.leading,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    /// Updates the gauges from a scan.
    pub fn record(&self, observation: &Observation) {
        let Assessment {
            windows,
            batches,
            skipped,
            late,
            passed,
            given_up,
            ..
        } = &observation.assessment;
        for stage in STAGES {
            let count = windows
                .iter()
                .filter(|window| window.stage.as_str() == stage)
                .count();
            self.windows
                .get_or_create_owned(&StageLabels { stage })
                .set(number(count));
        }
        // A stage that is missing in `STAGES` would not be counted.
        debug_assert!(windows.iter().all(|window| {
            window.stage == WindowStage::Done || STAGES.contains(&window.stage.as_str())
        }));
        let age = |since: BatchTime| (observation.now.millis() - since.millis()) / 1000;
        let open = || {
            batches
                .iter()
                .filter(|batch| batch.stage != BatchStage::Both)
        };
        self.open_batches.set(number(open().count()));
        let oldest = open().map(|batch| age(batch.name.date)).max();
        self.open_batch_age.set(oldest.unwrap_or(0).max(0));
        let waiting = windows.iter().filter(|window| window.stage.is_waiting());
        let oldest = waiting.map(|window| age(window.name.window.end())).max();
        self.waiting_window_age.set(oldest.unwrap_or(0).max(0));
        self.skipped.set(number(skipped.len()));
        self.late.set(number(late.len()));
        self.given_up_now.set(number(passed.len() + given_up.len()));
        self.unknown_objects
            .set(i64::try_from(observation.inventory.unknown_objects.count).unwrap_or(i64::MAX));
    }

    /// Counts the results of a run.
    pub fn run(&self, summary: &RunSummary, now_millis: i64) {
        self.runs.inc();
        for task in &summary.started {
            self.started
                .get_or_create_owned(&KindLabels { kind: task.kind })
                .inc();
        }
        self.failures.inc_by(summary.failed.len() as u64);
        self.left.set(number(summary.left));
        match summary.failed.is_empty() {
            true => {
                self.last_success.set(now_millis / 1000);
            }
            false => {
                self.failed_runs.inc();
            }
        }
    }

    /// Counts a run whose scan failed.
    pub fn failed_run(&self) {
        self.runs.inc();
        self.failed_runs.inc();
    }

    /// Counts a window that was given up because it passed the horizon without being summed.
    pub fn given_up(&self) {
        self.given_up.inc();
    }

    /// Sets the number of rejected tasks of a queue.
    pub fn rejected(&self, queue: QueueKind, count: usize) {
        let queue = queue.as_str();
        let gauge = self.rejected.get_or_create_owned(&QueueLabels { queue });
        gauge.set(number(count));
    }

    /// Counts batches without which a window is summed.
    pub fn skipped(&self, count: usize) {
        self.skipped_total.inc_by(count as u64);
    }

    /// Sets whether this process is the leader.
    pub fn leads(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// Returns all metrics as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stands_at_zero_from_the_start() {
        let text = Metrics::new().text();
        for line in [
            r#"workflow_manager_tasks_started_total{kind="roster"} 0"#,
            r#"workflow_manager_windows{stage="peer-roster"} 0"#,
            "workflow_manager_peer_skipped_batches_total 0",
            "workflow_manager_peer_skipped_batches_now 0",
            "workflow_manager_late_batches 0",
            r#"workflow_manager_rejected_tasks{queue="aggregate"} 0"#,
            "workflow_manager_open_batches 0",
            "workflow_manager_leading 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
