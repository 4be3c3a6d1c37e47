//! Opens what the options of every command name.

use tallybox_service::shell::GlobalOptions;

use crate::config::Config;
use crate::error::Error;
use crate::ingestor::Ingestor;

/// Opens the ingestor that `--config` describes.
pub(super) fn ingestor(options: &GlobalOptions) -> Result<Ingestor, Error> {
    Ingestor::open(&options.load::<Config>()?)
}
