//! Metrics, with names of the form `workflow_manager_<thing>_<unit>[_total]`. All of them are 0
//! from the start.

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tallybox_model::task::QueueKind;
use tallybox_model::time::BatchTime;
use tallybox_service::process_metrics::register;

use crate::due::{Assessment, BatchStage, WindowStage};
use crate::manager::Observation;
use crate::summary::RunSummary;

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

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    started: Family<Label, Counter>,
    windows: Family<Label, Gauge>,
    rejected: Family<Label, Gauge>,
    runs: Counter,
    failed_runs: Counter,
    failures: Counter,
    given_up: Counter,
    skipped_total: Counter,
    left: Gauge,
    skipped: Gauge,
    given_up_now: Gauge,
    open_batches: Gauge,
    open_batch_age: Gauge,
    waiting_window_age: Gauge,
    late: Gauge,
    unknown_objects: Gauge,
    last_success: Gauge,
    leading: Gauge,
    registry: Registry,
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
        let mut all = Registry::with_prefix("workflow_manager");
        let metrics = Self {
            started: register(
                &mut all,
                "tasks_started",
                "Started tasks, including repetitions",
            ),
            windows: register(&mut all, "windows", "Windows that are not done, by stage"),
            rejected: register(
                &mut all,
                "rejected_tasks",
                "Tasks that workers rejected and whose work has not been done since",
            ),
            runs: register(&mut all, "runs", "Runs, including failed ones"),
            failed_runs: register(&mut all, "runs_failed", "Runs in which something failed"),
            failures: register(
                &mut all,
                "failures",
                "Tasks and aggregations that failed, counted in each run",
            ),
            given_up: register(
                &mut all,
                "windows_given_up",
                "Windows given up because they passed the horizon without being summed",
            ),
            skipped_total: register(
                &mut all,
                "peer_skipped_batches",
                "Batches left out of a window because the peer had not validated them",
            ),
            left: register(
                &mut all,
                "tasks_left",
                "Due tasks that were left for the next run",
            ),
            skipped: register(
                &mut all,
                "peer_skipped_batches_now",
                "Complete batches of closed windows that the peer has not validated",
            ),
            given_up_now: register(
                &mut all,
                "windows_given_up_now",
                "Windows that were given up and that no operator has acknowledged",
            ),
            open_batches: register(
                &mut all,
                "open_batches",
                "Batches without our intake or without the peer's validation",
            ),
            open_batch_age: register(
                &mut all,
                "open_batch_age_seconds",
                "Seconds since the date of the oldest open batch; 0 without one",
            ),
            waiting_window_age: register(
                &mut all,
                "waiting_window_age_seconds",
                "Seconds since the end of the oldest window that is not done; 0 without one",
            ),
            late: register(
                &mut all,
                "late_batches",
                "Complete batches that arrived too late for their window",
            ),
            unknown_objects: register(
                &mut all,
                "foreign_objects",
                "Objects with unknown names that the last run ignored",
            ),
            last_success: register(
                &mut all,
                "last_success_seconds",
                "End of the last run without a failure, in seconds since 1970",
            ),
            leading: register(&mut all, "leading", "1 while this process is the leader"),
            registry: all,
        };
        metrics.create_label_values();
        metrics
    }

    /// Creates every label value, so that all counters are 0 from the start.
    fn create_label_values(&self) {
        for kind in KINDS {
            let _ = self.started.get_or_create_owned(&[("kind", kind)]);
        }
        for queue in QueueKind::ALL {
            self.rejected(queue, 0);
        }
        for stage in STAGES {
            let _ = self.windows.get_or_create_owned(&[("stage", stage)]);
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
                .get_or_create_owned(&[("stage", stage)])
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
                .get_or_create_owned(&[("kind", task.kind)])
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
        let label = [("queue", queue.as_str())];
        let gauge = self.rejected.get_or_create_owned(&label);
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
