//! The command `workflow-manager acknowledge`.

use std::fmt;

use clap::Args;
use serde::Serialize;
use tallybox_model::id::AggregationId;
use tallybox_model::time::BatchTime;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;

use super::options::open_manager;
use crate::error::Error;

const AFTER_HELP: &str = "\
Nothing is started; to sum such a window after all, use `backfill`. A window
that has been summed since then disappears from the status without this command.

Examples:
  workflow-manager --config F status --json | jq .\"given-up\"
  workflow-manager --config F acknowledge --aggregation NAME --start 2026/03/01/08/00";

/// Remove never-summed windows that passed the horizon from the status
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct AcknowledgeCommand {
    /// The aggregation
    #[arg(long, value_name = "NAME")]
    aggregation: AggregationId,
    /// Any minute of the window (UTC)
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM", required_unless_present = "all")]
    start: Option<BatchTime>,
    /// All windows of the aggregation
    #[arg(long, conflicts_with = "start")]
    all: bool,
}

impl AcknowledgeCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let manager = open_manager(options).await?;
        let windows = manager.acknowledge(&self.aggregation, self.start).await?;
        let windows = windows.iter().map(ToString::to_string).collect();
        options.print(&Acknowledged { windows })?;
        Ok(Exit::Done)
    }
}

/// The acknowledged windows.
#[derive(Debug, Serialize)]
struct Acknowledged {
    windows: Vec<String>,
}

impl Summary for Acknowledged {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acknowledged: {}", self.windows.join(", "))
    }
}
