//! The `facilitator` program: parses the command line and runs the command.

use std::process::ExitCode;
use tallybox_facilitator::commands;

fn main() -> ExitCode {
    commands::main().into()
}
