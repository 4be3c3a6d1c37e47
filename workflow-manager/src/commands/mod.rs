//! The command line: one function a command, all on the library's functions.

/// Runs the program on this process's command line.
#[must_use]
pub fn main() -> tallybox_service::exit::Exit {
    tallybox_service::exit::Exit::Usage
}
