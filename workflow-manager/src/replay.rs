//! Starts a window or a batch again at an operator's request.

use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;

use crate::due::{plan_batch_restart, plan_window_restart};
use crate::error::Error;
use crate::manager::Manager;
use crate::policy::Scope;
use crate::summary::RunSummary;
use crate::work::Due;

impl Manager {
    /// Returns the task that starts the current step of a window, regardless of its markers.
    ///
    /// # Errors
    /// [`Error::Nothing`] if no task can be started, and the errors of a scan.
    pub async fn plan_window_restart(&self, name: &WindowName) -> Result<Due, Error> {
        let times = (name.window.start(), name.window.end());
        let observation = self.observe(scope(times)).await?;
        plan_window_restart(&observation.inventory, name, observation.now).map_err(Error::Nothing)
    }

    /// Returns the task that starts the intake of a batch, regardless of its markers.
    ///
    /// # Errors
    /// As [`Self::plan_window_restart`].
    pub async fn plan_batch_restart(&self, name: &BatchName) -> Result<Due, Error> {
        let end = name.date.plus_minutes(1).unwrap_or(name.date);
        let observation = self.observe(scope((name.date, end))).await?;
        plan_batch_restart(&observation.inventory, name).map_err(Error::Nothing)
    }

    /// Starts the task.
    pub async fn start_due(&self, due: Due) -> RunSummary {
        let mut summary = RunSummary::default();
        self.start(self.now(), vec![due], &mut summary).await;
        summary
    }
}

fn scope(
    times: (
        tallybox_model::time::BatchTime,
        tallybox_model::time::BatchTime,
    ),
) -> Scope {
    Scope {
        windows: times,
        batches: times,
        passed: times.0,
    }
}
