//! Errors of the shell. Their cause is always the operator's own configuration or disk, never data
//! from a peer.
use std::io;
use std::path::PathBuf;

/// Reasons why a configuration file was rejected. A program exits with
/// [`crate::exit::Exit::Usage`].
///
/// No variant contains a value from the file: values may be secrets, and errors are logged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The command needs a configuration file, and the command line names none.
    #[error("--config FILE is missing")]
    NoFile,
    /// The file could not be opened or read.
    #[error("config file {}: cannot read", path.display())]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The file is larger than [`CONFIG_LIMIT`](crate::config::CONFIG_LIMIT).
    #[error("config file {}: larger than {limit} bytes", path.display())]
    TooLarge {
        /// The path as given.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is not valid UTF-8.
    #[error("config file {}: not UTF-8 after byte {valid}", path.display())]
    NotText {
        /// The path as given.
        path: PathBuf,
        /// Length of the valid UTF-8 at the start of the file, in bytes.
        valid: usize,
    },
    /// The YAML does not parse, or does not match the configuration type.
    #[error("config file {}{}: {}{problem}", path.display(), position(*line, *column), subject(key))]
    Invalid {
        /// The path as given.
        path: PathBuf,
        /// Line of the error, from 1; 0 if unknown.
        line: u64,
        /// Column of the error in characters, from 1; 0 if unknown.
        column: u64,
        /// Dotted path of the key, as in `buckets.own`; empty at the top of the document.
        key: String,
        /// The problem, without the value.
        problem: String,
    },
}

/// Formats a position as `:3:17`, the form that compilers print and editors can open.
fn position(line: u64, column: u64) -> String {
    if line == 0 {
        String::new()
    } else {
        format!(":{line}:{column}")
    }
}

/// Formats the key as a prefix of the problem; empty without a key.
fn subject(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}

/// Reasons why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The filter from `--log` or the environment does not parse.
    #[error(
        "log filter {filter:?} does not parse (examples: info, warn,tallybox_facilitator=debug)"
    )]
    BadFilter {
        /// The filter as given.
        filter: String,
    },
    /// A subscriber is already installed. This is a bug in the program, not in its configuration.
    #[error("logging was set up twice")]
    AlreadySet,
}

/// The summary of a command cannot be printed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to stdout")]
pub struct OutputError(#[source] pub(crate) io::Error);
