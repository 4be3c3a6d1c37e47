//! What a worker says of itself to operators.

use super::{Kind, Worker};
use crate::BUILD;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tallybox_service::operations::{Operable, Readiness};
use tallybox_service::version::Build;

/// What keeps work away from a worker, or wants to be looked at.
#[derive(Debug, Default)]
pub(super) struct State {
    draining: AtomicBool,
    reload_failed: AtomicBool,
    failing: Mutex<BTreeSet<Kind>>,
}

impl State {
    /// The worker stops.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether a queue answers.
    pub(super) fn queue_fails(&self, kind: Kind, fails: bool) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if fails {
            failing.insert(kind);
        } else {
            failing.remove(&kind);
        }
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
        readiness
            .reasons
            .extend(failing.iter().map(|kind| format!("the {kind} queue fails")));
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
