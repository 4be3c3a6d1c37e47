//! The command line program of the simulation, which `make simulate` runs.

use std::process::ExitCode;

use clap::Parser as _;
use tallybox_simulation::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
