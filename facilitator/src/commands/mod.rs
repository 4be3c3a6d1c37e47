//! The command line: one module for each subcommand. The work itself is in the library.

mod aggregate;
mod check_config;
mod inspect;
mod intake;
mod key;
mod options;
mod roster;
mod run_task;
mod worker;

use crate::build::BUILD;
use crate::error::Error;
use clap::{Parser, Subcommand};
use tallybox_service::exit::Exit;
use tallybox_service::shell::{self, CommandLine, GlobalOptions};

const AFTER_HELP: &str = "\
Both processors run the intake of each batch; then each sums its window:

  facilitator --config first.yaml intake-batch --aggregation org.example.count \\
      --date 2026/01/31/12/00 --batch 5fd2ffef-7f5c-4b4b-8f0f-3a3c0b4d8d5e
  facilitator --config first.yaml aggregate --aggregation org.example.count \\
      --start 2026/01/31/12/00 --end 2026/01/31/16/00

To identify a file or an object, and verify its signatures:

  facilitator --config first.yaml inspect PATH-OR-URL

Every command is idempotent: a repeated run changes nothing and writes the same
bytes. `facilitator worker all` does the same work for tasks from queues.

Exit codes:
  0  done, in this run or in an earlier one
  2  the command line or the configuration is wrong
  3  rejected: a retry cannot succeed
  4  not possible yet: run the command again later
  5  conflict: an object exists with other bytes; nothing was overwritten
  6  too few accepted packets for a sum part
  7  held: too many packets do not count because of the peer; an operator has
     to release the sum part (aggregate --accept-rejections)

docs/operating.md explains each reason, docs/formats.md each file format,
config/facilitator.yaml each setting.";

/// A data share processor: checks encrypted packets, sends verification messages to its peer, and
/// sums the packets that both accept
#[derive(Debug, Parser)]
#[command(name = "facilitator", version, after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    options: GlobalOptions,
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
            Command::Worker(_) | Command::RunTask(_) => "info",
            // `inspect` evaluates no packet, so warnings about packet evaluation would not concern
            // its result.
            Command::Inspect(_) => "error",
            _ => "warn",
        }
    }

    /// Runs the command. `aggregate`, `inspect`, `check-config` and `run-task` print more than an
    /// error when they do not succeed; the others return an error.
    async fn run(&self) -> Result<Exit, Error> {
        let options = &self.options;
        match &self.command {
            Command::IntakeBatch(command) => command.run(options).await?,
            Command::Roster(command) => command.run(options).await?,
            Command::Aggregate(command) => return command.run(options).await,
            Command::CheckConfig(command) => return command.run(options).await,
            Command::Inspect(command) => return command.run(options).await,
            Command::RunTask(command) => return command.run(options).await,
            Command::Key(command) => command.run(options)?,
            Command::Worker(command) => command.run(options).await?,
        }
        Ok(Exit::Done)
    }
}
