//! The worker's health, readiness and metrics, as operators see them.

use super::Worker;
use crate::build::BUILD;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tallybox_model::task::QueueKind;
use tallybox_service::operations::{Operable, Readiness};
use tallybox_service::version::Build;

/// Conditions that make the worker not ready, or that an operator should know about.
#[derive(Debug, Default)]
pub(super) struct State {
    draining: AtomicBool,
    reload_failed: AtomicBool,
    /// Failing queues, and the reason for each.
    failing: Mutex<BTreeMap<QueueKind, String>>,
}

impl State {
    /// Records that the worker is shutting down.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Records whether a queue answers, and if not, why.
    pub(super) fn queue_answers(&self, kind: QueueKind, answer: Result<(), String>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(()) => failing.remove(&kind),
            Err(problem) => failing.insert(kind, problem),
        };
    }

    /// Records whether the last reload of configuration and keys failed.
    pub(super) fn reload_failed(&self, failed: bool) {
        self.reload_failed.store(failed, Ordering::SeqCst);
    }
}

impl Operable for Worker {
    fn build(&self) -> Build {
        BUILD
    }

    /// Returns the tasks and requests to queues that have made no progress for too long.
    fn stuck(&self) -> Vec<String> {
        self.watchdog.stuck()
    }

    fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        if self.state.draining.load(Ordering::SeqCst) {
            readiness.reasons.push("draining".to_owned());
        }
        let failing = self
            .state
            .failing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        readiness.reasons.extend(
            failing
                .iter()
                .map(|(kind, problem)| format!("the {kind} queue fails: {problem}")),
        );
        readiness.reasons.extend(self.reach.reasons());
        if self.state.reload_failed.load(Ordering::SeqCst) {
            let warning =
                "reload failed: configuration or keys cannot be read; the old ones stay in force";
            readiness.warnings.push(warning.to_owned());
        }
        readiness
    }

    fn metrics(&self) -> String {
        self.metrics.text()
    }
}
