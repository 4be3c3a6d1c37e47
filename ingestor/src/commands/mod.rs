//! The command line: one module per command, which calls the library's functions.

mod batch;
mod check_config;
mod redeliver;
mod registry;
mod serve;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tallybox_service::config::load;
use tallybox_service::exit::{self, Exit};
use tallybox_service::output::{Failure, Output, Summary};
use tallybox_service::process;

use crate::BUILD;
use crate::config::Config;
use crate::error::Error;
use crate::ingestor::Ingestor;

const AFTER_HELP: &str = "\
Exit codes:
  0  done, in this run or in an earlier one
  2  the command line or the configuration is wrong
  3  rejected: a retry cannot succeed
  4  not possible yet: run the command again later
  5  conflict: an object exists with other bytes; nothing was overwritten

docs/operating.md describes what to do in each case, config/ingestor.yaml
each setting, docs/clients.md how clients post reports.";

/// Receives encrypted reports from clients and writes them to two processors in signed batches
#[derive(Debug, Parser)]
#[command(name = "ingestor", version, after_help = AFTER_HELP)]
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
    Batch(batch::BatchCommand),
    CheckConfig(check_config::CheckConfig),
    Redeliver(redeliver::RedeliverCommand),
    Registry(registry::RegistryCommand),
    Serve(serve::ServeCommand),
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
        // Only the server logs routine events: the other commands print a summary.
        Command::Serve(_) => "info",
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
        Command::Batch(command) => command.run(arguments).await,
        Command::CheckConfig(command) => command.run(arguments).await,
        Command::Redeliver(command) => command.run(arguments).await,
        Command::Registry(command) => command.run(arguments),
        Command::Serve(command) => command.run(arguments).await,
    }
}

impl Arguments {
    /// Opens the ingestor that `--config` describes.
    fn ingestor(&self) -> Result<Ingestor, Error> {
        let missing = || Error::Setting("--config FILE is missing".to_owned());
        let config = load::<Config>(self.config.as_ref().ok_or_else(missing)?)?;
        Ingestor::open(&config)
    }

    fn print(&self, summary: &impl Summary) -> Result<(), Error> {
        self.output
            .summary(summary)
            .map_err(|error| Error::Internal(format!("cannot write to stdout: {error}")))
    }
}
