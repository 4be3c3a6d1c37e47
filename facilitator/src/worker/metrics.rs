//! The worker's metrics, named `facilitator_<thing>_<unit>[_total]`. All counters exist with the
//! value 0 from the start.

mod labels;

pub use labels::TaskKind;

use super::handle::{TaskReport, TaskResult};
use crate::keys::Keys;
use crate::reason::{PacketReason, Rejections};
use crate::resources::Resources;
use crate::roster::Alarm;
use labels::{
    KeyLabel, OPERATIONS, OUTCOMES, PACKET_KEY_ALARMS, QueueLabel, QueueLabels, ReasonLabel,
    SECONDS, TaskLabel, TaskLabels,
};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;
use tallybox_model::cause::chain;
use tallybox_model::task::QueueKind;
use tallybox_queue::QueueError;

/// All metrics of a worker.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    tasks: Family<TaskLabels, Counter>,
    task_seconds: Family<TaskLabel, Histogram, fn() -> Histogram>,
    in_progress: Family<QueueLabel, Gauge>,
    given_back: Family<QueueLabel, Counter>,
    queue_errors: Family<QueueLabels, Counter>,
    packets_accepted: Counter,
    packets_rejected: Family<ReasonLabel, Counter>,
    packets_summed: Counter,
    packets_not_summed: Family<ReasonLabel, Counter>,
    poison: Counter,
    conflicts: Counter,
    roster_alarms: Family<ReasonLabel, Counter>,
    rejection_alarms: Counter,
    windows_held: Counter,
    wrong_key: Counter,
    packet_key_alarms: Family<ReasonLabel, Counter>,
    failed_proofs: Family<KeyLabel, Gauge>,
    suspicious: Counter,
    client_key_mismatches: Gauge,
    /// Renewals of leases.
    pub leases_extended: Counter,
    /// Leases that expired while their message was being processed.
    pub leases_lost: Counter,
    /// Successful reloads of configuration and keys.
    pub reloads: Counter,
    /// Reloads of configuration and keys that failed.
    pub reload_failures: Counter,
}

/// A message that is counted as being processed until this value is dropped.
#[derive(Debug)]
pub(super) struct MessageInProgress(Gauge);

impl Drop for MessageInProgress {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Creates all metrics with the value 0.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("facilitator"),
            tasks: Family::default(),
            task_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            in_progress: Family::default(),
            given_back: Family::default(),
            queue_errors: Family::default(),
            packets_accepted: Counter::default(),
            packets_rejected: Family::default(),
            packets_summed: Counter::default(),
            packets_not_summed: Family::default(),
            poison: Counter::default(),
            conflicts: Counter::default(),
            roster_alarms: Family::default(),
            rejection_alarms: Counter::default(),
            windows_held: Counter::default(),
            wrong_key: Counter::default(),
            packet_key_alarms: Family::default(),
            failed_proofs: Family::default(),
            suspicious: Counter::default(),
            client_key_mismatches: Gauge::default(),
            leases_extended: Counter::default(),
            leases_lost: Counter::default(),
            reloads: Counter::default(),
            reload_failures: Counter::default(),
        };
        metrics.register();
        metrics.create_at_zero();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("tasks", "Tasks processed, by outcome", self.tasks.clone());
        let help = "Duration of tasks in seconds";
        registry.register("task_duration_seconds", help, self.task_seconds.clone());
        registry.register(
            "tasks_in_hand",
            "Messages being processed",
            self.in_progress.clone(),
        );
        let help = "Messages given back unfinished when the worker stopped";
        registry.register("tasks_handed_back", help, self.given_back.clone());
        let help = "Failed requests to queues";
        registry.register("queue_errors", help, self.queue_errors.clone());
        let help = "Packets accepted at intake, with a verification message to the peer";
        registry.register("packets_accepted", help, self.packets_accepted.clone());
        let help = "Packets rejected at intake, by reason";
        registry.register("packets_rejected", help, self.packets_rejected.clone());
        let help = "Packets counted in sum parts";
        registry.register("packets_summed", help, self.packets_summed.clone());
        let help = "Packets of summed batches that do not count, by reason";
        registry.register("packets_not_summed", help, self.packets_not_summed.clone());
        let help = "Alarms about rosters, by reason";
        registry.register("roster_alarms", help, self.roster_alarms.clone());
        let help = "Alarms about packet keys and their pins, by reason";
        registry.register("packet_key_alarms", help, self.packet_key_alarms.clone());
        let help = "Failed proofs under a packet key since its creation";
        registry.register("packet_key_failed_proofs", help, self.failed_proofs.clone());
        let help = "Packet keys that the ingestor announces to clients and that do not match ours";
        registry.register(
            "client_key_mismatches",
            help,
            self.client_key_mismatches.clone(),
        );
        for (name, help, counter) in [
            (
                "poison_messages",
                "Messages that were not a task",
                &self.poison,
            ),
            (
                "conflicts",
                "Tasks that found an object with other bytes under a name that they write",
                &self.conflicts,
            ),
            (
                "rejection_alarms",
                "Windows in which the peer rejected more than a twentieth of the packets",
                &self.rejection_alarms,
            ),
            (
                "wrong_key",
                "Intakes that stopped because nearly all packets failed as with a wrong key",
                &self.wrong_key,
            ),
            (
                "windows_held",
                "Sum parts held for an operator",
                &self.windows_held,
            ),
            (
                "panics",
                "Tasks that panicked or met an internal error",
                &self.suspicious,
            ),
            (
                "leases_extended",
                "Renewals of leases",
                &self.leases_extended,
            ),
            (
                "leases_lost",
                "Leases that expired while their message was being processed",
                &self.leases_lost,
            ),
            (
                "reloads",
                "Successful reloads of configuration and keys",
                &self.reloads,
            ),
            (
                "reload_failures",
                "Reloads of configuration and keys that failed",
                &self.reload_failures,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
    }

    fn create_at_zero(&self) {
        for task in TaskKind::ALL {
            let task = task.name();
            for outcome in OUTCOMES {
                let _ = self.tasks.get_or_create(&TaskLabels { task, outcome });
            }
            let _ = self.task_seconds.get_or_create(&TaskLabel { task });
        }
        for queue in QueueKind::ALL.map(QueueKind::as_str) {
            let _ = self.in_progress.get_or_create(&QueueLabel { queue });
            let _ = self.given_back.get_or_create(&QueueLabel { queue });
            for operation in OPERATIONS {
                let _ = self
                    .queue_errors
                    .get_or_create(&QueueLabels { queue, operation });
            }
        }
        for reason in PACKET_KEY_ALARMS {
            let _ = self
                .packet_key_alarms
                .get_or_create(&ReasonLabel { reason });
        }
        for reason in Alarm::NAMES {
            let _ = self.roster_alarms.get_or_create(&ReasonLabel { reason });
        }
        for reason in PacketReason::ALL.map(PacketReason::name) {
            let _ = self.packets_rejected.get_or_create(&ReasonLabel { reason });
            let _ = self
                .packets_not_summed
                .get_or_create(&ReasonLabel { reason });
        }
    }

    /// Counts the alarms of a roster task.
    fn alarms<'a>(&self, alarms: impl Iterator<Item = &'a Alarm>) {
        for alarm in alarms {
            let reason = alarm.as_str();
            self.roster_alarms
                .get_or_create(&ReasonLabel { reason })
                .inc();
        }
    }

    /// Counts the alarms about packet keys, and updates the number of failed proofs under each key.
    pub(super) fn packet_keys(&self, keys: &Keys, resources: &Resources) {
        for reason in resources.cache.take_alarms() {
            self.packet_key_alarms
                .get_or_create(&ReasonLabel { reason })
                .inc();
        }
        let Some(failures) = resources.cache.last_failures() else {
            return;
        };
        for key in &keys.packet {
            let failed = failures.get(&key.fingerprint).copied().unwrap_or_default();
            let gauge = self.failed_proofs.get_or_create_owned(&KeyLabel {
                key: key.id.clone(),
            });
            gauge.set(i64::try_from(failed).unwrap_or(i64::MAX));
        }
    }

    /// Counts a task that has been processed.
    pub(super) fn task(&self, result: &TaskResult, took: Duration) {
        let TaskResult {
            task,
            outcome,
            report,
        } = result;
        let task = task.name();
        let outcome = if report.below_minimum {
            "below-minimum"
        } else if report.held {
            "held"
        } else {
            outcome.name()
        };
        self.tasks
            .get_or_create(&TaskLabels { task, outcome })
            .inc();
        self.task_seconds
            .get_or_create(&TaskLabel { task })
            .observe(took.as_secs_f64());
        if *task == *TaskKind::Unreadable.name() {
            self.poison.inc();
        }
        self.conflicts.inc_by(u64::from(report.conflict));
        self.suspicious.inc_by(u64::from(report.suspicious));
        let summed = report.aggregate.as_ref().filter(|sum| !sum.done_before);
        let alarming = summed.is_some_and(|sum| sum.rejections.is_alarming());
        self.rejection_alarms.inc_by(u64::from(alarming));
        self.windows_held.inc_by(u64::from(report.held));
        self.wrong_key.inc_by(u64::from(report.wrong_key));
        self.packets(report);
        self.alarms(
            report
                .roster
                .iter()
                .flat_map(|roster| roster.alarms.as_slice()),
        );
    }

    /// Counts the packets of a task. Packets of a task that was already done before are not counted
    /// twice.
    fn packets(&self, report: &TaskReport) {
        let reject = |family: &Family<ReasonLabel, Counter>, rejections: &Rejections| {
            for (reason, count) in rejections.iter() {
                let reason = reason.name();
                family.get_or_create(&ReasonLabel { reason }).inc_by(count);
            }
        };
        if let Some(intake) = report.intake.as_ref().filter(|intake| !intake.done_before) {
            self.packets_accepted.inc_by(intake.packets_accepted);
            reject(&self.packets_rejected, &intake.rejected_by_reason);
        }
        let summed = report.aggregate.as_ref();
        if let Some(aggregate) = summed.filter(|sum| !sum.done_before && sum.sum_part.is_some()) {
            self.packets_summed.inc_by(aggregate.packets_accepted);
            reject(&self.packets_not_summed, &aggregate.rejected_by_reason);
        }
    }

    /// Counts and logs a failed request to a queue.
    pub(super) fn queue_error(&self, kind: QueueKind, operation: &'static str, error: &QueueError) {
        let queue = kind.as_str();
        self.queue_errors
            .get_or_create(&QueueLabels { queue, operation })
            .inc();
        let error = chain(error);
        tracing::warn!(queue, operation, error, "request to the queue failed");
    }

    /// Counts a message as being processed.
    pub(super) fn start_message(&self, kind: QueueKind) -> MessageInProgress {
        let gauge = self.in_progress.get_or_create_owned(&QueueLabel {
            queue: kind.as_str(),
        });
        gauge.inc();
        MessageInProgress(gauge)
    }

    /// Counts a message that was given back unfinished.
    pub(super) fn given_back(&self, kind: QueueKind) {
        self.given_back
            .get_or_create(&QueueLabel {
                queue: kind.as_str(),
            })
            .inc();
    }

    /// Sets how many packet keys announced to clients do not match this processor's keys.
    pub fn client_key_mismatches(&self, count: usize) {
        self.client_key_mismatches
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Returns all metrics in the Prometheus text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stands_at_zero_from_the_start() {
        let text = Metrics::new().text();
        for line in [
            r#"facilitator_tasks_total{task="intake",outcome="reject"} 0"#,
            r#"facilitator_tasks_in_hand{queue="aggregate"} 0"#,
            r#"facilitator_queue_errors_total{queue="intake",operation="extend"} 0"#,
            r#"facilitator_packets_rejected_total{reason="point-changed"} 0"#,
            r#"facilitator_task_duration_seconds_count{task="roster"} 0"#,
            "facilitator_poison_messages_total 0",
            "facilitator_leases_lost_total 0",
            "facilitator_conflicts_total 0",
            "facilitator_rejection_alarms_total 0",
            "facilitator_windows_held_total 0",
            "facilitator_wrong_key_total 0",
            r#"facilitator_packet_key_alarms_total{reason="pin-missing"} 0"#,
            "facilitator_reload_failures_total 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(
            text.lines()
                .filter(|line| !line.starts_with('#') && !line.contains("_bucket"))
                .all(|line| line.ends_with(" 0") || line.ends_with(" 0.0")),
            "{text}"
        );
    }
}
