//! The command line: one file per command. The commands call the library's functions.

mod collect;
mod rebuild;
mod serve;
mod sum;
mod verify;

use clap::{Parser, Subcommand};
use tallybox_service::exit::Exit;
use tallybox_service::shell::{self, CommandLine, GlobalOptions};

use crate::build::BUILD;
use crate::error::Error;

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  2  the command line, the configuration or a key file is wrong
  3  rejected: the sum parts cannot be added; the findings say why and what to do
  4  not possible yet: something is missing or out of reach; try again later

Begin with `portal sum`: it needs two files and two keys, no configuration. `portal serve --demo`
shows the web pages with generated data.";

/// Verifies and adds the sum parts of two processors, and shows the results
#[derive(Debug, Parser)]
#[command(name = "portal", version, after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    options: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Sum(sum::SumCommand),
    Collect(collect::CollectCommand),
    Rebuild(rebuild::RebuildCommand),
    Verify(verify::VerifyCommand),
    Serve(serve::ServeCommand),
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
        "warn"
    }

    async fn run(&self) -> Result<Exit, Error> {
        match &self.command {
            Command::Sum(command) => command.run(&self.options).await,
            Command::Collect(command) => command.run(&self.options).await,
            Command::Rebuild(command) => command.run(&self.options).await,
            Command::Verify(command) => command.run(&self.options).await,
            Command::Serve(command) => command.run(&self.options).await,
        }
    }
}
