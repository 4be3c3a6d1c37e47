//! The long-running scheduler: runs at intervals while it is the leader, an endpoint for operators,
//! and a shutdown that is safe at any point.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tallybox_model::cause::chain;
use tallybox_service::operations::{Operable, Readiness};
use tallybox_service::reach::Reach;
use tallybox_service::version::Build;
use tallybox_transport::probe::Reachable;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::build::BUILD;
use crate::error::Error;
use crate::leader::{Election, Leadership};
use crate::manager::Manager;
use crate::summary::to_lines;

/// A scheduler that keeps running.
#[derive(Debug)]
pub struct Scheduler {
    /// The manager that it runs.
    pub manager: Manager,
    /// The method of leader election.
    pub election: Arc<dyn Election>,
    /// Time between scans.
    pub poll: Duration,
    /// Duration of the leader's lease.
    pub lease: Duration,
    /// How long a run may take before it is reported as stuck.
    pub stuck: Duration,
    /// The state that operators see.
    pub heartbeat: RunHeartbeat,
}

/// The state of a scheduler that operators see.
#[derive(Debug, Default)]
pub struct RunHeartbeat {
    /// Start of the current round in milliseconds; 0 between rounds.
    run_started: AtomicI64,
    scanned: AtomicBool,
    draining: AtomicBool,
    trouble: Mutex<Vec<String>>,
    reach: Reach,
}

/// Name of a round's dependencies, in a reason not to be ready.
const DEPENDENCIES: &str = "a bucket or queue";

impl Scheduler {
    /// Runs until `shutdown` is cancelled. Failures are logged, counted and retried.
    pub async fn run(&self, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            self.heartbeat
                .run_started
                // 0 means that no round is running.
                .store(self.manager.clock.millis().max(1), Ordering::SeqCst);
            // A run may be cancelled at any point: the next one starts from the state of the
            // buckets.
            let _ = shutdown.run_until_cancelled(self.round()).await;
            self.heartbeat.run_started.store(0, Ordering::SeqCst);
            let _ = shutdown.run_until_cancelled(sleep(self.poll)).await;
        }
        self.heartbeat.draining.store(true, Ordering::SeqCst);
        self.manager.metrics.leads(false);
        let resigned = tokio::time::timeout(Duration::from_secs(3), self.election.resign()).await;
        if let Ok(Err(error)) = resigned {
            tracing::warn!(
                error = chain(&error),
                "cannot end the leader's lease early; it expires"
            );
        }
    }

    /// Checks periodically whether the processor's own bucket responds, on every process. A run
    /// without any response from the bucket would end only after a long time.
    pub async fn watch_own_bucket(&self) {
        let reachable = Reachable::default();
        let ask = || async {
            let asked = reachable.ask(&*self.manager.buckets.own).await;
            asked.map_err(|error| chain(&error))
        };
        self.heartbeat.reach.watch("the own bucket", ask).await;
    }

    /// Renews or tries to acquire the lease, and runs if this process is the leader.
    async fn round(&self) {
        let begun = Instant::now();
        let leads = match self.election.campaign().await {
            Ok(Leadership::Ours) => true,
            Ok(Leadership::Theirs { holder }) => {
                tracing::debug!(holder, "another process is the leader");
                self.heartbeat.set(Vec::new());
                self.heartbeat.reach.note(DEPENDENCIES, begun, Ok(()));
                false
            }
            Err(error) => {
                self.trouble("cannot determine the leader", begun, &error);
                false
            }
        };
        self.manager.metrics.leads(leads);
        // A process that waits for the leadership is ready, too.
        if !leads {
            self.heartbeat.scanned.store(true, Ordering::SeqCst);
            return;
        }
        let result = tokio::select! {
            result = self.manager.run_once() => result,
            never = self.keep_leading() => match never {},
        };
        match result {
            Ok(summary) => {
                self.heartbeat.scanned.store(true, Ordering::SeqCst);
                let unreachable = summary.failed.iter().find(|failed| failed.unreachable);
                let reached = unreachable.map_or(Ok(()), |failed| Err(failed.to_string()));
                self.heartbeat.reach.note(DEPENDENCIES, begun, reached);
                self.heartbeat.set(to_lines(&summary.failed));
                tracing::info!(
                    aggregations = summary.aggregations,
                    started = summary.started.len(),
                    failed = summary.failed.len(),
                    left = summary.left,
                    "run done"
                );
            }
            Err(error) => self.trouble("the run failed", begun, &error),
        }
    }

    /// Renews the lease for the duration of a run.
    async fn keep_leading(&self) -> std::convert::Infallible {
        loop {
            sleep(self.lease / 3).await;
            match self.election.campaign().await {
                Ok(Leadership::Ours) => {}
                Ok(Leadership::Theirs { holder }) => {
                    tracing::warn!(
                        holder,
                        "another process is the leader now; this run continues, which is harmless"
                    );
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "cannot renew the leader's lease")
                }
            }
        }
    }

    fn trouble(&self, what: &str, begun: Instant, error: &Error) {
        let problem = chain(error);
        tracing::error!(error = problem, "{what}");
        // Other errors show that the dependency responds.
        let reached = match error.is_unreachable() {
            true => Err(format!("{what}: {problem}")),
            false => Ok(()),
        };
        self.heartbeat.reach.note(DEPENDENCIES, begun, reached);
        self.heartbeat.set(vec![format!("{what}: {problem}")]);
    }
}

impl RunHeartbeat {
    fn set(&self, trouble: Vec<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

impl Operable for Scheduler {
    fn build(&self) -> Build {
        BUILD
    }

    fn stuck(&self) -> Vec<String> {
        let run_started = self.heartbeat.run_started.load(Ordering::SeqCst);
        let lasted = self.manager.clock.millis().saturating_sub(run_started);
        if run_started > 0
            && u128::try_from(lasted).is_ok_and(|lasted| lasted > self.stuck.as_millis())
        {
            return vec![format!(
                "a run has not ended after {} seconds",
                lasted / 1000
            )];
        }
        Vec::new()
    }

    fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        if self.heartbeat.draining.load(Ordering::SeqCst) {
            readiness.reasons.push("draining".to_owned());
        }
        if !self.heartbeat.scanned.load(Ordering::SeqCst) {
            readiness
                .reasons
                .push("no scan has completed yet".to_owned());
        }
        readiness.reasons.extend(self.heartbeat.reach.reasons());
        readiness.warnings = self
            .heartbeat
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
