//! The command line: one file per command. The commands call the library's functions.

mod acknowledge;
mod announcement;
mod backfill;
mod check_config;
mod counterpart;
mod plan;
mod replay;
mod run_once;
mod serve;
mod status;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tallybox_service::config::{Loaded, load};
use tallybox_service::exit::{self, Exit};
use tallybox_service::output::{Failure, Output, Summary};
use tallybox_service::process;

use crate::BUILD;
use crate::config::Config;
use crate::error::Error;
use crate::manager::Manager;

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
    /// The configuration file (YAML); relative paths in it are relative to its folder
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    log: tallybox_service::log::LogOptions,
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
    process::protect_memory();
    let arguments = match exit::parse_build::<Arguments>(&BUILD) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    let output = arguments.output;
    let filter = match &arguments.command {
        Command::Serve => "info",
        // The output of these commands includes everything that a warning would report.
        Command::Plan | Command::Status(_) => "error",
        _ => "warn",
    };
    if let Err(error) = arguments.log.init(filter) {
        return output.failure(&Failure::from_error(Exit::Usage, "log", &error));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return output.failure(&Failure::from_error(Exit::Retry, "runtime", &error)),
    };
    match runtime.block_on(run(&arguments)) {
        Ok(exit) => exit,
        Err(error) => output.failure(&Failure::from_error(error.exit(), error.reason(), &error)),
    }
}

async fn run(arguments: &Arguments) -> Result<Exit, Error> {
    match &arguments.command {
        Command::RunOnce => run_once::run(arguments).await,
        Command::Serve => serve::run(arguments).await,
        Command::Plan => plan::run(arguments).await,
        Command::Status(command) => command.run(arguments).await,
        Command::Replay(command) => command.run(arguments).await,
        Command::Backfill(command) => command.run(arguments).await,
        Command::Acknowledge(command) => command.run(arguments).await,
        Command::Announcement => announcement::run(arguments),
        Command::CheckConfig(command) => command.run(arguments).await,
    }
}

impl Arguments {
    /// Loads the configuration that `--config` names.
    fn loaded(&self) -> Result<Loaded<Config>, Error> {
        let missing = || Error::Setting("--config FILE is missing".to_owned());
        let config = load::<Config>(self.config.as_ref().ok_or_else(missing)?)?;
        config.value.check().map_err(Error::Setting)?;
        Ok(config)
    }

    /// Creates the manager that `--config` describes.
    async fn manager(&self) -> Result<Manager, Error> {
        Manager::open(&self.loaded()?).await
    }

    fn print(&self, summary: &impl Summary) -> Result<(), Error> {
        self.output
            .summary(summary)
            .map_err(|error| Error::Internal(format!("cannot write to stdout: {error}")))
    }
}
