//! All programs except the ingestor's server, inside this process: batch job, workflow managers and
//! workers.

use std::sync::Arc;
use std::time::Duration;

use tallybox_facilitator::worker::{self, Worker};
use tallybox_ingestor::batch::{BatchOptions, BatcherSummary, batch, cycle};
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_ingestor::metrics::Metrics;
use tallybox_model::role::Role;
use tallybox_model::task::QueueKind;
use tallybox_workflow_manager::serve::Scheduler;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{RoleProcess, Setting};
use crate::error::Error;
use crate::layout::{LOCALITY, Layout};

/// Maximum number of rounds in [`InProcessRoles::run_until_idle`]: more than a window needs from
/// intake to its sum.
pub(crate) const MAX_ROUNDS: usize = 8;

/// The in-process roles of a sandbox.
pub struct InProcessRoles {
    ingestor: Arc<Ingestor>,
    managers: [Arc<Scheduler>; 2],
    workers: [Arc<Worker>; 2],
}

impl InProcessRoles {
    /// Opens all programs. `ingestor` is shared with the server.
    ///
    /// # Errors
    /// As [`Setting::scheduler`] and [`Setting::worker`].
    pub async fn open(
        setting: &Setting,
        layout: &Layout,
        ingestor: &Arc<Ingestor>,
    ) -> Result<Self, Error> {
        let manager = |role| async move {
            setting
                .scheduler(&RoleProcess::Manager(role).config(layout))
                .await
                .map(Arc::new)
        };
        let worker = |role| setting.worker(&RoleProcess::Worker(role).config(layout));
        Ok(Self {
            ingestor: Arc::clone(ingestor),
            managers: [manager(Role::First).await?, manager(Role::Second).await?],
            workers: [worker(Role::First)?, worker(Role::Second)?],
        })
    }

    /// Runs all programs until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let (ingestor, ending) = (Arc::clone(&self.ingestor), stop.clone());
        tasks.spawn(async move { cycle(&ingestor, &Metrics::new(), &ending).await });
        for manager in &self.managers {
            let (manager, ending) = (Arc::clone(manager), stop.clone());
            tasks.spawn(async move { manager.run(&ending).await });
        }
        for worker in &self.workers {
            tasks.spawn(worker::run(
                Arc::clone(worker),
                &QueueKind::ALL,
                stop.clone(),
            ));
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Runs the batch job once.
    ///
    /// # Errors
    /// [`Error::Ingestor`].
    pub async fn batch(&self) -> Result<BatcherSummary, Error> {
        let (ingestor, options) = (&self.ingestor, BatchOptions::default());
        let summary = batch(ingestor, &ingestor.localities[LOCALITY], &options).await;
        summary.map_err(Error::ingestor)
    }

    /// Runs each workflow manager once. Returns the number of tasks that they started.
    ///
    /// # Errors
    /// [`Error::Manager`].
    pub async fn schedule(&self) -> Result<usize, Error> {
        let mut started = 0;
        for scheduler in &self.managers {
            let summary = scheduler.manager.run_once().await;
            started += summary.map_err(Error::manager)?.started.len();
        }
        Ok(started)
    }

    /// Runs a processor's tasks of a kind until its queue is empty, and calls `done` after each.
    ///
    /// # Errors
    /// [`Error::Queue`].
    pub async fn work(
        &self,
        role: Role,
        kind: QueueKind,
        mut done: impl FnMut(),
    ) -> Result<(), Error> {
        let worker = &self.workers[role.index()];
        while worker::step(worker, kind, Duration::ZERO).await?.is_some() {
            done();
        }
        Ok(())
    }

    /// Runs workflow managers and workers in turn until none has work left, without background
    /// tasks.
    ///
    /// # Errors
    /// As [`Self::schedule`] and [`Self::work`].
    pub async fn run_until_idle(&self) -> Result<(), Error> {
        for _ in 0..MAX_ROUNDS {
            let mut done = self.schedule().await?;
            for role in Role::ALL {
                for kind in QueueKind::ALL {
                    self.work(role, kind, || done += 1).await?;
                }
            }
            if done == 0 {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for InProcessRoles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcessRoles").finish_non_exhaustive()
    }
}
