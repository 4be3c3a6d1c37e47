//! The command line: one file per command. The commands call the library's functions.

mod acknowledge;
mod announcement;
mod backfill;
mod check_config;
mod counterpart;
mod options;
mod plan;
mod replay;
mod run_once;
mod serve;
mod status;

use clap::{Parser, Subcommand};
use tallybox_service::exit::Exit;
use tallybox_service::shell::{self, CommandLine, GlobalOptions};

use crate::build::BUILD;
use crate::error::Error;

const AFTER_HELP: &str = "\
Exit codes:
  0  done, in this run or in an earlier one
  2  the command line or the configuration is wrong
  3  rejected: a retry cannot succeed
  4  not possible yet: run the command again later
  5  conflict: an object exists with other bytes; nothing was overwritten

There are two ways to run the scheduler: `run-once` from cron every few minutes,
or `serve`.

docs/scheduling.md explains what is started when, and what to do when something
waits; config/workflow-manager.yaml explains each setting.";

/// Scans a processor's buckets and starts the work that is due
#[derive(Debug, Parser)]
#[command(name = "workflow-manager", version, after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    options: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Scan once, and start everything that is due
    #[command(after_help = run_once::AFTER_HELP)]
    RunOnce,
    /// Keep running: scan at intervals, and start what is due
    #[command(after_help = serve::AFTER_HELP)]
    Serve,
    /// Show what `run-once` would start now, and why; writes nothing
    Plan,
    Status(status::StatusCommand),
    Replay(replay::ReplayCommand),
    Backfill(backfill::BackfillCommand),
    Acknowledge(acknowledge::AcknowledgeCommand),
    /// Print the document that announces this processor's extensions and packet keys, to be published
    /// with the manifests
    ///
    /// Publish it as {base}/{instance}-extensions.json. The peer reads `roster` there: publish the
    /// document before the first run with these settings, and at least two windows before the start of
    /// what it announces. Operators of ingestors read `packet-keys`: each key with its number of bins.
    /// If the configuration has neither `roster` nor `packet-keys`, there is nothing to publish.
    Announcement,
    CheckConfig(check_config::CheckConfig),
}

/// Runs the program with the command line of this process.
#[must_use]
pub fn main() -> Exit {
    shell::main::<Arguments>(&BUILD)
}

impl CommandLine for Arguments {
    type Error = Error;

    fn options(&self) -> &GlobalOptions {
        &self.options
    }

    fn log_filter(&self) -> &'static str {
        match &self.command {
            Command::Serve => "info",
            // The output of these commands includes everything that a warning would report.
            Command::Plan | Command::Status(_) => "error",
            _ => "warn",
        }
    }

    async fn run(&self) -> Result<Exit, Error> {
        let options = &self.options;
        match &self.command {
            Command::RunOnce => run_once::run(options).await,
            Command::Serve => serve::run(options).await,
            Command::Plan => plan::run(options).await,
            Command::Status(command) => command.run(options).await,
            Command::Replay(command) => command.run(options).await,
            Command::Backfill(command) => command.run(options).await,
            Command::Acknowledge(command) => command.run(options).await,
            Command::Announcement => announcement::run(options),
            Command::CheckConfig(command) => command.run(options).await,
        }
    }
}
