//! The command line: one module per command, which calls the library's functions.

mod batch;
mod check_config;
mod options;
mod redeliver;
mod registry;
mod serve;

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

docs/operating.md describes what to do in each case, config/ingestor.yaml
each setting, docs/clients.md how clients post reports.";

/// Receives encrypted reports from clients and writes them to two processors in signed batches
#[derive(Debug, Parser)]
#[command(name = "ingestor", version, after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    options: GlobalOptions,
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

/// Parses the command line of this process and runs the command.
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
            // Only the server logs routine events: the other commands print a summary.
            Command::Serve(_) => "info",
            _ => "warn",
        }
    }

    async fn run(&self) -> Result<Exit, Error> {
        let options = &self.options;
        match &self.command {
            Command::Batch(command) => command.run(options).await,
            Command::CheckConfig(command) => command.run(options).await,
            Command::Redeliver(command) => command.run(options).await,
            Command::Registry(command) => command.run(options),
            Command::Serve(command) => command.run(options).await,
        }
    }
}
