//! What a worker says of itself to operators.

use super::{Kind, Worker};
use crate::BUILD;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tallybox_service::operations::{Operable, Readiness};
use tallybox_service::version::Build;

/// What keeps work away from a worker, or wants to be looked at.
#[derive(Debug, Default)]
pub(super) struct State {
    draining: AtomicBool,
    reload_failed: AtomicBool,
    /// Queues that fail, and why.
    failing: Mutex<BTreeMap<Kind, String>>,
}

impl State {
    /// The worker stops.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Why a queue does not answer, or that it does.
    pub(super) fn queue_answers(&self, kind: Kind, answer: Result<(), String>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(()) => failing.remove(&kind),
            Err(problem) => failing.insert(kind, problem),
        };
    }

    /// Whether configuration and keys could not be read again.
    pub(super) fn reload_failed(&self, failed: bool) {
        self.reload_failed.store(failed, Ordering::SeqCst);
    }
}

impl Operable for Worker {
    fn build(&self) -> Build {
        BUILD
    }

    /// A task, or a request to a queue, that has said nothing for too long.
    fn stuck(&self) -> Vec<String> {
        self.pulses.stuck()
    }

    fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        if self.state.draining.load(Ordering::SeqCst) {
            readiness.reasons.push("draining".to_owned());
        }
        let failing = self.state.failing.lock().unwrap_or_else(PoisonError::into_inner);
        readiness.reasons.extend(
            failing
                .iter()
                .map(|(kind, problem)| format!("the {kind} queue fails: {problem}")),
        );
        readiness.reasons.extend(self.reach.reasons());
        if self.state.reload_failed.load(Ordering::SeqCst) {
            let warning = "configuration or keys could not be read again; the old ones are in force";
            readiness.warnings.push(warning.to_owned());
        }
        readiness
    }

    fn metrics(&self) -> String {
        self.metrics.text()
    }
}
