//! `workflow-manager run-once`

use clap::Args;
use tallybox_service::exit::Exit;

use super::Arguments;
use crate::error::Error;

const AFTER_HELP: &str = "\
For a cron job, every few minutes. Runs may overlap: the worst that comes of it
is a task that is started twice, which workers do not mind. One aggregation that
fails holds up no other; the exit code is 4 if anything failed.

Try it:
  workflow-manager --config workflow-manager.yaml plan
  workflow-manager --config workflow-manager.yaml run-once";

/// Look once, and start everything that is due
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct RunOnce {}

impl RunOnce {
    #[allow(clippy::unused_self, reason = "commands have one form")]
    pub(super) async fn run(&self, arguments: &Arguments) -> Result<Exit, Error> {
        let summary = arguments.manager().await?.run_once().await?;
        arguments.print(&summary)?;
        Ok(summary.exit())
    }
}
