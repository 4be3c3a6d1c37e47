//! The simulation as a program: `make simulate`.

use std::process::ExitCode;

use clap::Parser as _;
use tallybox_simulation::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
