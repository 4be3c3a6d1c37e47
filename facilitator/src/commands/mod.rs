//! The command line: one function a command, all on the library's functions.

mod aggregate;
mod check_config;
mod inspect;
mod intake;
mod key;
mod roster;
mod run_task;
mod worker;

use crate::BUILD;
use crate::config::Config;
use crate::error::Error;
use crate::processor::Processor;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tallybox_service::config::load;
use tallybox_service::exit::{self, Exit};
use tallybox_service::output::{Failure, Output, Summary};
use tallybox_service::process;

const AFTER_HELP: &str = "\
A processor takes a batch in, its peer does the same, then each sums its window:

  facilitator --config first.yaml intake-batch --aggregation org.example.count \\
      --date 2026/01/31/12/00 --batch 5fd2ffef-7f5c-4b4b-8f0f-3a3c0b4d8d5e
  facilitator --config first.yaml aggregate --aggregation org.example.count \\
      --start 2026/01/31/12/00 --end 2026/01/31/16/00

What is this file, and does it verify?

  facilitator --config first.yaml inspect PATH-OR-URL

Every command can be run again: what is done stays as it is, to the byte.
`facilitator worker all` does the same for tasks from queues.

Exit codes:
  0  done, now or before
  2  the command line or the configuration is wrong
  3  rejected: it never will succeed
  4  not there yet: run it again later
  5  conflict: an object exists with other bytes; nothing was overwritten
  6  too few accepted packets for a sum part
  7  held: so many packets do not count that an operator has to release the sum

docs/operating.md explains each reason, docs/formats.md each file,
config/facilitator.yaml each setting.";

/// How long threads may take to end that nobody waits for.
const LAST_THREADS: Duration = Duration::from_millis(300);

/// A data share processor: checks encrypted packets, tells its peer what it found, and sums what both found good.
#[derive(Debug, Parser)]
#[command(name = "facilitator", version, after_help = AFTER_HELP)]
pub struct Arguments {
    /// The processor's configuration (YAML); relative paths in it are relative to its folder
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
    IntakeBatch(intake::IntakeBatch),
    Aggregate(aggregate::Aggregate),
    CheckConfig(check_config::CheckConfig),
    Roster(roster::Roster),
    Inspect(inspect::Inspect),
    Key(key::Key),
    RunTask(run_task::RunTask),
    Worker(worker::WorkerCommand),
}

/// Runs the program on this process's command line.
#[must_use]
pub fn main() -> Exit {
    process::protect_memory();
    let arguments = match exit::parse_build::<Arguments>(&BUILD) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    let output = arguments.output;
    let filter = match &arguments.command {
        Command::Worker(_) | Command::RunTask(_) => "info",
        // `inspect` evaluates no packet: warnings about how packets are evaluated do not belong to its answer.
        Command::Inspect(_) => "error",
        _ => "warn",
    };
    if let Err(error) = arguments.log.init(filter) {
        return output.failure(&Failure::from_error(Exit::Usage, "log", &error));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.failure(&Failure::from_error(Exit::Retry, "runtime", &error)),
    };
    let result = runtime.block_on(run(&arguments));
    // What still runs on a blocking thread belongs to a task that was given up.
    runtime.shutdown_timeout(LAST_THREADS);
    match result {
        Ok(exit) => exit,
        Err(error) => output.failure(&failure(&error)),
    }
}

/// Runs the command. Only `inspect` has a summary for what is not done; the others end in an error then.
async fn run(arguments: &Arguments) -> Result<Exit, Error> {
    match &arguments.command {
        Command::IntakeBatch(command) => command.run(arguments).await?,
        Command::Aggregate(command) => command.run(arguments).await?,
        Command::Roster(command) => command.run(arguments).await?,
        Command::CheckConfig(command) => return command.run(arguments).await,
        Command::Inspect(command) => return command.run(arguments).await,
        Command::RunTask(command) => return command.run(arguments).await,
        Command::Key(command) => command.run(arguments)?,
        Command::Worker(command) => command.run(arguments).await?,
    }
    Ok(Exit::Done)
}

impl Arguments {
    /// The file that `--config` names.
    fn config_file(&self) -> Result<&Path, Error> {
        let missing = || Error::Setting("--config FILE is missing".to_owned());
        self.config.as_deref().ok_or_else(missing)
    }

    /// The processor that `--config` describes.
    fn processor(&self) -> Result<Arc<Processor>, Error> {
        self.processor_with(|_| {})
    }

    /// The processor that `--config` describes, with what a command changes of it.
    fn processor_with(&self, change: impl FnOnce(&mut Processor)) -> Result<Arc<Processor>, Error> {
        let config = load::<Config>(self.config_file()?)?;
        config.value.worker.check()?;
        let mut processor = Processor::open(&config)?;
        change(&mut processor);
        Ok(Arc::new(processor))
    }

    fn print(&self, summary: &impl Summary) -> Result<(), Error> {
        self.output
            .summary(summary)
            .map_err(|error| Error::Setting(format!("cannot write to stdout: {error}")))
    }
}

/// The failure that a person or a machine is told.
fn failure(error: &Error) -> Failure {
    let mut failure = Failure::from_error(error.exit(), error.reason(), error);
    if let Some(summary) = error.summary() {
        failure = failure.detail("batches", serde_json::to_value(&summary.batches).unwrap_or_default());
    }
    failure
}
