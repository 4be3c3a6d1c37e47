//! The `portal` program: parses the command line and runs the command.

use std::process::ExitCode;
use tallybox_portal::commands;

fn main() -> ExitCode {
    commands::main().into()
}
