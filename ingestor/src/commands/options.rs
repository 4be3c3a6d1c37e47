//! The options of every command, and what commands make of them.

use std::path::PathBuf;

use clap::Args;
use tallybox_service::config::load;
use tallybox_service::log::LogOptions;
use tallybox_service::output::{Output, Summary};

use crate::config::Config;
use crate::error::Error;
use crate::ingestor::Ingestor;

/// The options of every command.
#[derive(Debug, Args)]
pub(super) struct GlobalOptions {
    /// The configuration file (YAML); relative paths in it are relative to its folder
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) log: LogOptions,
}

impl GlobalOptions {
    /// Opens the ingestor that `--config` describes.
    pub(super) fn ingestor(&self) -> Result<Ingestor, Error> {
        let missing = || Error::Setting("--config FILE is missing".to_owned());
        let config = load::<Config>(self.config.as_ref().ok_or_else(missing)?)?;
        Ingestor::open(&config)
    }

    pub(super) fn print(&self, summary: &impl Summary) -> Result<(), Error> {
        self.output
            .summary(summary)
            .map_err(|error| Error::Internal(format!("cannot write to stdout: {error}")))
    }
}
