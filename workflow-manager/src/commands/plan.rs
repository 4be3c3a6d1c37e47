//! The command `workflow-manager plan`.

use std::fmt;

use serde::Serialize;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;

use super::options::open_manager;
use crate::error::Error;
use crate::failure::FailedStart;
use crate::manager::{Manager, Observation};
use crate::policy::Scope;
use crate::status::rosters;
use crate::summary::{StartedTask, list, to_lines};

pub(super) async fn run(options: &GlobalOptions) -> Result<Exit, Error> {
    let manager = open_manager(options).await?;
    let plan = plan(&manager, manager.policy.scope(manager.now())).await?;
    options.print(&plan)?;
    Ok(plan.exit())
}

/// Returns what a run over this scope would start.
pub(super) async fn plan(manager: &Manager, scope: Scope) -> Result<Plan, Error> {
    Ok(Plan::from_observation(&manager.observe(scope).await?))
}

/// The tasks that a run would start.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Plan {
    now: String,
    rosters: String,
    tasks: Vec<StartedTask>,
    skipped_by_peer: Vec<String>,
    late: Vec<String>,
    waiting: Vec<Waiting>,
    failed: Vec<FailedStart>,
}

/// A window that is closed and not done, and for which no task can be started.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Waiting {
    window: String,
    waits_for: String,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.window, self.waits_for)
    }
}

impl Plan {
    fn from_observation(observation: &Observation) -> Self {
        let waiting = observation
            .assessment
            .windows
            .iter()
            .filter(|window| window.closes <= observation.now);
        let waiting = waiting
            .filter(|window| !window.stage.is_due())
            .filter_map(|window| {
                Some(Waiting {
                    window: window.name.to_string(),
                    waits_for: window.waits_for()?,
                })
            });
        Self {
            now: observation.now.to_string(),
            rosters: rosters(observation),
            tasks: observation
                .assessment
                .due
                .iter()
                .map(StartedTask::from_due)
                .collect(),
            skipped_by_peer: to_lines(&observation.assessment.skipped),
            late: to_lines(&observation.assessment.late),
            waiting: waiting.collect(),
            failed: observation.inventory.failed.clone(),
        }
    }

    pub(super) fn exit(&self) -> Exit {
        FailedStart::exit(&self.failed)
    }
}

impl Summary for Plan {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} UTC: {} tasks would be started; rosters: {}",
            self.now,
            self.tasks.len(),
            self.rosters
        )?;
        list(f, "would be started", &self.tasks)?;
        list(f, "waits", &self.waiting)?;
        list(f, "skipped by the peer", &self.skipped_by_peer)?;
        list(f, "late", &self.late)?;
        list(f, "cannot be scanned", &self.failed)
    }
}
