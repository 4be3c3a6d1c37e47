//! Opens what the options of every command name.

use crate::config::Config;
use crate::error::Error;
use crate::processor::Processor;
use std::sync::Arc;
use tallybox_service::shell::GlobalOptions;

/// Opens the processor that `--config` describes.
pub(super) fn processor(options: &GlobalOptions) -> Result<Arc<Processor>, Error> {
    processor_with(options, |_| {})
}

/// Opens the processor that `--config` describes, then applies the changes that a command needs.
pub(super) fn processor_with(
    options: &GlobalOptions,
    change: impl FnOnce(&mut Processor),
) -> Result<Arc<Processor>, Error> {
    let config = options.load::<Config>()?;
    config.value.worker.check()?;
    let mut processor = Processor::open(&config)?;
    change(&mut processor);
    Ok(Arc::new(processor))
}
