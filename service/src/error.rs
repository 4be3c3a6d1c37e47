//! What can go wrong in the shell itself: all of it is our own configuration or our own disk, never a peer's data.
use std::io;
use std::path::PathBuf;

/// Why a config file was not taken. A program that meets one exits with [`crate::exit::Exit::Usage`].
///
/// No variant holds a value from the file: values may be secrets, and errors end in logs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be opened or read.
    #[error("config file {}: cannot read", path.display())]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file has more bytes than a config file has any business to have.
    #[error("config file {}: larger than {limit} bytes", path.display())]
    TooLarge {
        /// The path as it was given.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is not UTF-8, so it is not the YAML we read.
    #[error("config file {}: not UTF-8 after byte {valid}", path.display())]
    NotText {
        /// The path as it was given.
        path: PathBuf,
        /// How many bytes from the start are valid, in bytes.
        valid: usize,
    },
    /// The YAML does not parse, or does not fit the type it is read into.
    #[error("config file {}{}: {}{problem}", path.display(), position(*line, *column), subject(key))]
    Invalid {
        /// The path as it was given.
        path: PathBuf,
        /// Line of the fault, from 1; 0 if it is not known.
        line: u64,
        /// Column of the fault in characters, from 1; 0 if it is not known.
        column: u64,
        /// Dotted path of the key at fault, as in `buckets.own`; empty at the top of the document.
        key: String,
        /// What is wrong with it, without the value.
        problem: String,
    },
}

/// `:3:17`, as compilers write it and editors follow it.
fn position(line: u64, column: u64) -> String {
    if line == 0 {
        String::new()
    } else {
        format!(":{line}:{column}")
    }
}

/// The key in front of the problem, if there is one.
fn subject(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The filter given by `--log` or the environment is no filter.
    #[error("log filter {filter:?} does not parse (examples: info, warn,tallybox_facilitator=debug)")]
    BadFilter {
        /// The filter as it was given.
        filter: String,
    },
    /// A subscriber had been installed before: a bug in the program, not in its configuration.
    #[error("logging was set up twice")]
    AlreadySet,
}
