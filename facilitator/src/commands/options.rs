//! The options of every command, and what commands make of them.

use crate::config::Config;
use crate::error::Error;
use crate::processor::Processor;
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tallybox_service::config::load;
use tallybox_service::log::LogOptions;
use tallybox_service::output::{Output, Summary};

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
    /// Returns the file that `--config` names.
    pub(super) fn config_file(&self) -> Result<&Path, Error> {
        let missing = || Error::Setting("--config FILE is missing".to_owned());
        self.config.as_deref().ok_or_else(missing)
    }

    /// Opens the processor that `--config` describes.
    pub(super) fn processor(&self) -> Result<Arc<Processor>, Error> {
        self.processor_with(|_| {})
    }

    /// Opens the processor that `--config` describes, then applies the changes that a command
    /// needs.
    pub(super) fn processor_with(
        &self,
        change: impl FnOnce(&mut Processor),
    ) -> Result<Arc<Processor>, Error> {
        let config = load::<Config>(self.config_file()?)?;
        config.value.worker.check()?;
        let mut processor = Processor::open(&config)?;
        change(&mut processor);
        Ok(Arc::new(processor))
    }

    pub(super) fn print(&self, summary: &impl Summary) -> Result<(), Error> {
        self.output
            .summary(summary)
            .map_err(|error| Error::Setting(format!("cannot write to stdout: {error}")))
    }
}
