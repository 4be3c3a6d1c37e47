//! `facilitator run-task`

use super::options::processor;
use crate::error::Error;
use crate::worker::{Outcome, handle};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fmt;
use tallybox_model::task::QueueKind;
use tallybox_service::exit::Exit;
use tallybox_service::output::{Failure, Summary};
use tallybox_service::shell::GlobalOptions;

const AFTER_HELP: &str = "\
For Kubernetes Jobs that a workflow manager starts. A pod of an indexed Job runs
the task whose index the cluster puts into JOB_COMPLETION_INDEX.

  facilitator --config first.yaml run-task intake \\
      '{\"trace-id\":\"...\",\"aggregation-id\":\"...\",\"batch-id\":\"...\",\"date\":\"...\"}'

A window with too few packets for a sum part counts as done, as with a worker.";

/// Run one task as a worker would, without a queue
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct RunTask {
    /// The queue that the task belongs to
    #[arg(value_enum)]
    kind: TaskOf,
    /// The messages, in JSON as on the queue; the command runs one of them
    #[arg(required = true, value_name = "TASK")]
    tasks: Vec<String>,
    /// The index of the task to run, from 0
    #[arg(
        long,
        env = "JOB_COMPLETION_INDEX",
        default_value_t = 0,
        value_name = "INDEX"
    )]
    index: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TaskOf {
    /// An intake task
    Intake,
    /// A roster task or an aggregation task
    Aggregate,
}

impl RunTask {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let kind = match self.kind {
            TaskOf::Intake => QueueKind::Intake,
            TaskOf::Aggregate => QueueKind::Aggregate,
        };
        let missing = || {
            Error::Setting(format!(
                "the command line has {} tasks and none with index {}; check --index and JOB_COMPLETION_INDEX",
                self.tasks.len(),
                self.index
            ))
        };
        let task = self.tasks.get(self.index).ok_or_else(missing)?;
        let outcome = handle(&processor(options)?, kind, task.as_bytes()).await;
        let (exit, reason) = match &outcome {
            Outcome::Done => {
                options.print(&Done {
                    outcome: outcome.name(),
                })?;
                return Ok(Exit::Done);
            }
            Outcome::Retry { reason, .. } => (Exit::Retry, reason),
            Outcome::Reject { reason } => (Exit::Rejected, reason),
        };
        Ok(options
            .output
            .failure(&Failure::new(exit, outcome.name(), reason)))
    }
}

/// The summary of a completed task.
#[derive(Debug, Serialize)]
struct Done {
    outcome: &'static str,
}

impl Summary for Done {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task is done, in this run or in an earlier one")
    }
}
