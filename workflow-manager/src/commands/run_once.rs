//! The command `workflow-manager run-once`.

use tallybox_service::exit::Exit;
use tallybox_service::shell::GlobalOptions;

use super::options::open_manager;
use crate::error::Error;

pub(super) const AFTER_HELP: &str = "\
For a cron job, every few minutes. Runs may overlap: at worst, a task is started
twice, which is harmless. A failure of one aggregation does not affect the
others; the exit code is 4 if anything failed.

Examples:
  workflow-manager --config workflow-manager.yaml plan
  workflow-manager --config workflow-manager.yaml run-once";

pub(super) async fn run(options: &GlobalOptions) -> Result<Exit, Error> {
    let summary = open_manager(options).await?.run_once().await?;
    options.print(&summary)?;
    Ok(summary.exit())
}
