//! The program `tallybox-client`: shows a configuration, sends a report, checks a report, generates
//! load.

use std::process::ExitCode;

fn main() -> ExitCode {
    tallybox_client::program::main()
}
