//! The command line of the program `tallybox-client`.

mod check;
mod config;
mod load;
mod send;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tallybox_service::exit::{Exit, parse};
use tallybox_service::log;
use tallybox_service::output::{Failure, Output};

use crate::config::ClientConfigError;
use crate::load::LoadError;
use crate::post::ReportError;

/// A client of an ingestor: shows its configuration, sends a report, checks a report, generates
/// load.
#[derive(Debug, Parser)]
#[command(name = "tallybox-client", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  tallybox-client config http://127.0.0.1:8080 --locality us-ca \\
      --key config-1=keys/config-1.pub
  tallybox-client send http://127.0.0.1:8080 --locality us-ca \\
      --key config-1=keys/config-1.pub --metric CodeVerified-v1 --value 010000
  tallybox-client check report.json --exact
  tallybox-client load http://127.0.0.1:8080 --locality us-ca \\
      --key config-1=keys/config-1.pub --rate 1000 --duration 30";

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch and verify a locality's configuration, and show it
    Config(config::ConfigArgs),
    /// Make one report, post it, and show every step; for learning and trials, not for real answers
    Send(send::SendArgs),
    /// Open a report that another client made with test keys, and name its first wrong element
    #[command(after_help = check::NOTES)]
    Check(check::CheckArgs),
    /// Generate load, and show the responses and their latency
    #[command(after_help = load::NOTES)]
    Load(load::LoadArgs),
}

/// Runs the command line of this process and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    tallybox_service::process::protect_memory();
    let cli = match parse::<Cli>() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let _ = log::init("warn");
    match run(&cli) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => cli.output.failure(&failure).into(),
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Command::Load(args) = &cli.command {
        builder.worker_threads(args.threads.max(1));
    }
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Retry, "runtime", error))?;
    runtime.block_on(async {
        match &cli.command {
            Command::Config(args) => print(cli.output, &config::run(args).await?),
            Command::Send(args) => print(cli.output, &send::run(args).await?),
            Command::Check(args) => print(cli.output, &check::run(args)?),
            Command::Load(args) => print(cli.output, &load::run(args, cli.output).await?),
        }
    })
}

fn print(output: Output, summary: &impl tallybox_service::output::Summary) -> Result<(), Failure> {
    let printed = output.summary(summary);
    printed.map_err(|error| Failure::new(Exit::Retry, "stdout", error))
}

impl From<ClientConfigError> for Failure {
    fn from(error: ClientConfigError) -> Self {
        let exit = match &error {
            ClientConfigError::Unreachable(_) => Exit::Retry,
            ClientConfigError::Status { status } if *status >= 500 || *status == 429 => Exit::Retry,
            _ => Exit::Rejected,
        };
        Self::from_error(exit, "config", &error)
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Config(error) => error.into(),
            error => Self::from_error(Exit::Usage, "report", &error),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::from_error(Exit::Usage, "load", &error)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let help = Cli::command()
            .find_subcommand_mut("load")
            .unwrap()
            .render_long_help()
            .to_string();
        assert!(help.contains("replay"), "{help}");
    }
}
