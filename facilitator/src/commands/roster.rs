//! `facilitator roster`: writes a window's roster, shows both processors' rosters, explains a
//! batch.

use super::aggregate::DatedBatch;
use super::options::processor;
use crate::error::Error;
use crate::progress::no_progress;
use crate::roster::{BatchView, RosterSummary, WindowView, explain, roster, show};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::fmt;
use tallybox_model::id::AggregationId;
use tallybox_model::roster::WindowName;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;

const AFTER_HELP: &str = "\
Both processors list the batches of a window that they can sum. Both then sum
exactly the batches whose entries are equal in the two rosters:

  facilitator --config first.yaml roster write --aggregation org.example.count \\
      --start 2026/01/31/12/00 --end 2026/01/31/15/00
  facilitator --config first.yaml aggregate --aggregation org.example.count \\
      --start 2026/01/31/12/00 --end 2026/01/31/15/00

To see why a batch is or is not in a window:

  facilitator --config first.yaml roster show --aggregation org.example.count \\
      --start 2026/01/31/12/00 --end 2026/01/31/15/00
  facilitator --config first.yaml roster explain --aggregation org.example.count \\
      --batch 2026/01/31/12/00/5fd2ffef-7f5c-4b4b-8f0f-3a3c0b4d8d5e

docs/rosters.md explains the rules and each reason.";

/// Agree with the peer on the batches of a window, and show why a batch is or is not in it
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Roster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Write(Write),
    Show(Show),
    Explain(Explain),
}

/// The aggregation and the window.
#[derive(Debug, Args)]
struct WindowArguments {
    /// The aggregation: the first component of the batches' object names
    #[arg(long, value_name = "NAME")]
    aggregation: AggregationId,
    /// The first minute of the window (UTC)
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM")]
    start: BatchTime,
    /// The first minute after the window (UTC)
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM")]
    end: BatchTime,
}

impl WindowArguments {
    fn name(&self) -> Result<WindowName, Error> {
        Ok(WindowName {
            aggregation: self.aggregation.clone(),
            window: Window::new(self.start, self.end)
                .map_err(|error| Error::Setting(error.to_string()))?,
        })
    }
}

/// Write this processor's rosters up to this window, read the peer's, and record the agreed set
///
/// The window and its grace period must be over, by this machine's clock and by the clock of the
/// own bucket. A roster never changes once it is written. A missing roster of the peer is not an
/// error: the summary reports it, and a later run continues.
#[derive(Debug, Args)]
struct Write {
    #[command(flatten)]
    window: WindowArguments,
}

/// Show both processors' rosters of a window side by side, and the status of each batch
#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    window: WindowArguments,
}

/// Explain why a batch is or is not summed: each window's entry for it in both rosters
#[derive(Debug, Args)]
struct Explain {
    /// The aggregation: the first component of the batch's object names
    #[arg(long, value_name = "NAME")]
    aggregation: AggregationId,
    /// The date and identifier of the batch
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM/UUID")]
    batch: DatedBatch,
}

impl Roster {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<(), Error> {
        let processor = processor(options)?;
        match &self.command {
            Command::Write(command) => {
                options
                    .print(&roster(&processor, &command.window.name()?, no_progress()).await?)?;
            }
            Command::Show(command) => {
                options.print(&show(&processor, &command.window.name()?).await?)?;
            }
            Command::Explain(command) => {
                let Explain { aggregation, batch } = command;
                let windows = explain(&processor, aggregation, batch.date, batch.id).await?;
                options.print(&Explanation {
                    batch: batch.to_string(),
                    windows,
                })?;
            }
        }
        Ok(())
    }
}

/// The entries for one batch in each window from its own on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Explanation {
    batch: String,
    windows: Vec<BatchView>,
}

impl Summary for Explanation {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.batch)?;
        if self.windows.is_empty() {
            return write!(
                f,
                "  no roster of its window or of a later window exists yet"
            );
        }
        write!(
            f,
            "  {:<40}{:<20}{:<20}outcome",
            "window", "first", "second"
        )?;
        self.windows
            .iter()
            .try_for_each(|view| write!(f, "\n  {:<40}{view}", view.window.to_string()))
    }
}

impl Summary for RosterSummary {
    fn human(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Summary for WindowView {
    fn human(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
