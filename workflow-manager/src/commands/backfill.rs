//! The command `workflow-manager backfill`.

use clap::Args;
use tallybox_model::time::BatchTime;
use tallybox_service::exit::Exit;
use tallybox_service::shell::GlobalOptions;

use super::options::open_manager;
use super::plan;
use crate::error::Error;
use crate::policy::Scope;

const AFTER_HELP: &str = "\
Without --yes, nothing is written: the command prints what would be started, and
why. Completed work is not repeated, and recently started tasks are not started
again.

Both processors have to do this. With rosters, agree with the peer's operators:
their processor sums only windows that its own sequence of rosters includes.

Examples:
  workflow-manager --config F backfill --from 2026/01/01/00/00 --to 2026/01/08/00/00
  workflow-manager --config F backfill --from 2026/01/01/00/00 --to 2026/01/08/00/00 --yes";

/// Start due work of windows older than the horizon; without --yes, only show it
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct BackfillCommand {
    /// Start of the time range: the first window starts at or after this time (UTC)
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM")]
    from: BatchTime,
    /// End of the time range: the last window starts before this time
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM")]
    to: BatchTime,
    /// Start the work
    #[arg(long)]
    yes: bool,
}

impl BackfillCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        if self.to <= self.from {
            return Err(Error::Setting("--to must be after --from".to_owned()));
        }
        let manager = open_manager(options).await?;
        let scope = Scope {
            windows: (self.from, self.to),
            batches: (self.from, self.to),
            passed: self.from,
        };
        if self.yes {
            let summary = manager.run(scope).await?;
            options.print(&summary)?;
            return Ok(summary.exit());
        }
        let plan = plan::plan(&manager, scope).await?;
        options.print(&plan)?;
        Ok(plan.exit())
    }
}
