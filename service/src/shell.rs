//! What every program with commands does around them: its options, logs, the runtime, and the
//! report of a failure.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser};
use serde::de::DeserializeOwned;

use crate::config::{Loaded, load};
use crate::error::{ConfigError, OutputError};
use crate::exit::{self, Exit};
use crate::log::LogOptions;
use crate::output::{Failure, Output, Summary};
use crate::process;
use crate::version::Build;

/// How long the runtime waits at exit for blocking threads of cancelled tasks.
const BLOCKING_THREADS_TIMEOUT: Duration = Duration::from_millis(300);

/// The options of every command.
#[derive(Debug, Args)]
pub struct GlobalOptions {
    /// The configuration file (YAML); relative paths in it are relative to its folder
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How summaries and failures are printed.
    #[command(flatten)]
    pub output: Output,
    /// The log filter.
    #[command(flatten)]
    pub log: LogOptions,
}

impl GlobalOptions {
    /// Returns the file that `--config` names.
    ///
    /// # Errors
    /// [`ConfigError::NoFile`].
    pub fn config_file(&self) -> Result<&Path, ConfigError> {
        self.config.as_deref().ok_or(ConfigError::NoFile)
    }

    /// Reads the configuration file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load<T: DeserializeOwned>(&self) -> Result<Loaded<T>, ConfigError> {
        load(self.config_file()?)
    }

    /// Prints the summary of a command.
    ///
    /// # Errors
    /// [`OutputError`] if stdout cannot be written.
    pub fn print(&self, summary: &impl Summary) -> Result<(), OutputError> {
        self.output.summary(summary).map_err(OutputError)
    }
}

/// An error with which a command ends.
pub trait CommandError: std::error::Error {
    /// Returns the exit code.
    fn exit(&self) -> Exit;

    /// Returns the machine-readable reason.
    fn reason(&self) -> String;
}

/// The parsed command line of a program with commands.
pub trait CommandLine: Parser {
    /// The error with which a command ends.
    type Error: CommandError;

    /// Returns the options of every command.
    fn options(&self) -> &GlobalOptions;

    /// Returns the log filter of the command, for callers that name none.
    fn log_filter(&self) -> &'static str;

    /// Runs the command.
    fn run(&self) -> impl Future<Output = Result<Exit, Self::Error>>;
}

/// Parses the command line of this process and runs the command.
#[must_use]
pub fn main<P: CommandLine>(build: &Build) -> Exit {
    // Before any key is read: memory holds private keys and shares.
    process::protect_memory();
    let program = match exit::parse_build::<P>(build) {
        Ok(program) => program,
        Err(exit) => return exit,
    };
    let options = program.options();
    let output = options.output;
    if let Err(error) = options.log.init(program.log_filter()) {
        return output.failure(&Failure::from_error(Exit::Usage, "log", &error));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return output.failure(&Failure::from_error(Exit::Retry, "runtime", &error)),
    };
    let result = runtime.block_on(program.run());
    // A blocking thread that is still running belongs to a cancelled task.
    runtime.shutdown_timeout(BLOCKING_THREADS_TIMEOUT);
    match result {
        Ok(exit) => exit,
        Err(error) => output.failure(&Failure::from_error(error.exit(), error.reason(), &error)),
    }
}
