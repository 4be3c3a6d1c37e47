//! The command `workflow-manager status`.

use std::io::Write as _;
use std::time::Duration;

use clap::Args;
use tallybox_model::cause::chain;
use tallybox_service::exit::Exit;
use tallybox_service::shell::GlobalOptions;

use super::options::open_manager;
use crate::error::Error;
use crate::failure::FailedStart;
use crate::manager::Manager;
use crate::status::{QueueStatus, Status};
use tallybox_model::task::QueueKind;

const AFTER_HELP: &str = "\
Stages of a window:
  collecting        the window has not ended
  grace             it has ended; batches may still arrive
  undecided         the peer's announcement cannot be read
  empty             closed, without a batch
  peer-validations  closed; the peer has validated none of its batches
  one-sided         closed; waits for batches that are missing on one side
  peer-roster       our roster is written; waits for the peer's
  due, started      a task is due, or has been started
  with-later        the task of a later window includes this window's rosters
  held              too many rejected packets; an operator has to release it
  done              nothing is left to do

Batches: `ours` is the progress of our intake, `peer` whether the peer has
validated the batch. A task that workers rejected is `rejected`, with the
reason, until its work is done.

Examples:
  workflow-manager --config F status --watch
  workflow-manager --config F status --json | jq .windows";

/// Show the status of every window and batch, its age, and what it waits for
///
/// To show why workers rejected tasks, the command receives the messages of the queues of rejected
/// tasks and releases them at once.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct StatusCommand {
    /// Also show what is done
    #[arg(long)]
    all: bool,
    /// Repeat at this interval, until Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5")]
    watch: Option<u64>,
}

impl StatusCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let manager = open_manager(options).await?;
        loop {
            let status = self.observe(&manager).await;
            let Some(seconds) = self.watch else {
                let status = status?;
                options.print(&status)?;
                return Ok(FailedStart::exit(&status.failed));
            };
            if !options.output.json {
                // Clears the screen and moves to its first line. If the terminal is gone, a later
                // write ends the loop.
                let _ = std::io::stdout().write_all(b"\x1b[2J\x1b[H");
            }
            match status {
                Ok(status) => options.print(&status)?,
                Err(error) => tracing::error!(error = chain(&error), "cannot scan the buckets"),
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(seconds.max(1))) => {}
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
            }
        }
    }

    async fn observe(&self, manager: &Manager) -> Result<Status, Error> {
        let observation = manager.observe(manager.policy.scope(manager.now())).await?;
        let rejected = manager.rejected_tasks(&observation).await;
        let mut queues = Vec::new();
        for kind in QueueKind::ALL {
            queues.push(QueueStatus::new(
                kind,
                manager.starter.location(kind),
                manager.starter.depth(kind).await,
                rejected.get(&kind),
            ));
        }
        Ok(Status::from_observation(
            &observation,
            queues,
            &rejected,
            self.all,
        ))
    }
}
