//! Staying up: a run every so often while we lead, a page for operators, an end that leaves nothing half done.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tallybox_service::cause::chain;
use tallybox_service::operations::{Operable, Readiness};
use tallybox_service::reach::Reach;
use tallybox_service::version::Build;
use tallybox_transport::probe::Reachable;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::BUILD;
use crate::error::Error;
use crate::leader::{Election, Leadership};
use crate::manager::Manager;
use crate::summary::FailedStart;

/// A scheduler that stays up.
#[derive(Debug)]
pub struct Scheduler {
    /// What it runs.
    pub manager: Manager,
    /// Who leads.
    pub election: Arc<dyn Election>,
    /// How often it looks.
    pub poll: Duration,
    /// How long it leads without saying so again.
    pub lease: Duration,
    /// How long a run may take before it is reported as stuck.
    pub stuck: Duration,
    /// What is seen of it.
    pub pulse: Pulse,
}

/// What is seen of a scheduler from outside.
#[derive(Debug, Default)]
pub struct Pulse {
    /// When the present round began, in milliseconds; 0 between rounds.
    began: AtomicI64,
    looked: AtomicBool,
    draining: AtomicBool,
    trouble: Mutex<Vec<String>>,
    reach: Reach,
}

/// What a round reaches, as a reason not to be ready names it.
const NEEDED: &str = "a bucket or queue";

impl Scheduler {
    /// Runs until it is stopped. Whatever fails is logged, counted and tried again.
    pub async fn run(&self, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            self.pulse
                .began
                .store(self.manager.clock.millis().max(1), Ordering::SeqCst);
            // A run may be dropped anywhere: the next one starts from what stands in the buckets.
            let _ = shutdown.run_until_cancelled(self.round()).await;
            self.pulse.began.store(0, Ordering::SeqCst);
            let _ = shutdown.run_until_cancelled(sleep(self.poll)).await;
        }
        self.pulse.draining.store(true, Ordering::SeqCst);
        self.manager.metrics.leads(false);
        let resigned = tokio::time::timeout(Duration::from_secs(3), self.election.resign()).await;
        if let Ok(Err(error)) = resigned {
            tracing::warn!(
                error = chain(&error),
                "leadership could not be given up; it ends by itself"
            );
        }
    }

    /// Asks the own bucket again and again whether it answers, leading or not: a run that gets no answer at all ends late.
    pub async fn watch_own_bucket(&self) {
        let reachable = Reachable::default();
        let ask = || async {
            let asked = reachable.ask(&*self.manager.buckets.own).await;
            asked.map_err(|error| chain(&error))
        };
        self.pulse.reach.watch("the own bucket", ask).await;
    }

    /// One look at who leads, and a run if we do.
    async fn round(&self) {
        let begun = Instant::now();
        let leads = match self.election.campaign().await {
            Ok(Leadership::Ours) => true,
            Ok(Leadership::Theirs { holder }) => {
                tracing::debug!(holder, "another leads");
                self.pulse.set(Vec::new());
                self.pulse.reach.note(NEEDED, begun, Ok(()));
                false
            }
            Err(error) => {
                self.trouble("who leads cannot be found out", begun, &error);
                false
            }
        };
        self.manager.metrics.leads(leads);
        if !leads {
            self.pulse.looked.store(true, Ordering::SeqCst);
            return;
        }
        let result = tokio::select! {
            result = self.manager.run_once() => result,
            never = self.keep_leading() => match never {},
        };
        match result {
            Ok(summary) => {
                self.pulse.looked.store(true, Ordering::SeqCst);
                let failed = || summary.failed.iter();
                let said = |failed: &FailedStart| format!("{}: {}", failed.what, failed.problem);
                let unreachable = failed().find(|failed| failed.unreachable);
                let reached = unreachable.map_or(Ok(()), |failed| Err(said(failed)));
                self.pulse.reach.note(NEEDED, begun, reached);
                self.pulse.set(failed().map(said).collect());
                tracing::info!(
                    aggregations = summary.aggregations,
                    started = summary.started.len(),
                    failed = summary.failed.len(),
                    left = summary.left,
                    "run done"
                );
            }
            Err(error) => self.trouble("a run failed", begun, &error),
        }
    }

    /// Says again that we lead for as long as a run goes on.
    async fn keep_leading(&self) -> std::convert::Infallible {
        loop {
            sleep(self.lease / 3).await;
            match self.election.campaign().await {
                Ok(Leadership::Ours) => {}
                Ok(Leadership::Theirs { holder }) => {
                    tracing::warn!(holder, "another leads now; this run goes on, which does no harm");
                }
                Err(error) => tracing::warn!(error = chain(&error), "leadership could not be renewed"),
            }
        }
    }

    fn trouble(&self, what: &str, begun: Instant, error: &Error) {
        let problem = chain(error);
        tracing::error!(error = problem, "{what}");
        let reached = match error.is_unreachable() {
            true => Err(format!("{what}: {problem}")),
            false => Ok(()),
        };
        self.pulse.reach.note(NEEDED, begun, reached);
        self.pulse.set(vec![format!("{what}: {problem}")]);
    }
}

impl Pulse {
    fn set(&self, trouble: Vec<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

impl Operable for Scheduler {
    fn build(&self) -> Build {
        BUILD
    }

    fn stuck(&self) -> Vec<String> {
        let began = self.pulse.began.load(Ordering::SeqCst);
        let lasted = self.manager.clock.millis().saturating_sub(began);
        if began > 0 && u128::try_from(lasted).is_ok_and(|lasted| lasted > self.stuck.as_millis()) {
            return vec![format!("a run has taken {} seconds and has not ended", lasted / 1000)];
        }
        Vec::new()
    }

    fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        if self.pulse.draining.load(Ordering::SeqCst) {
            readiness.reasons.push("draining".to_owned());
        }
        if !self.pulse.looked.load(Ordering::SeqCst) {
            readiness.reasons.push("nothing has been looked at yet".to_owned());
        }
        readiness.reasons.extend(self.pulse.reach.reasons());
        readiness.warnings = self
            .pulse
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        readiness
    }

    fn metrics(&self) -> String {
        self.manager.metrics.text()
    }
}
