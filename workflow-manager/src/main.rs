//! The `workflow-manager` program: parses the command line and runs the command.

use std::process::ExitCode;
use tallybox_workflow_manager::commands;

fn main() -> ExitCode {
    commands::main().into()
}
