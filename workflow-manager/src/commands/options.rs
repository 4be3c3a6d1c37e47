//! Opens what the options of every command name.

use tallybox_service::config::Loaded;
use tallybox_service::shell::GlobalOptions;

use crate::config::Config;
use crate::error::Error;
use crate::manager::Manager;

/// Loads and checks the configuration that `--config` names.
pub(super) fn load_config(options: &GlobalOptions) -> Result<Loaded<Config>, Error> {
    let config = options.load::<Config>()?;
    config.value.check().map_err(Error::Setting)?;
    Ok(config)
}

/// Creates the manager that `--config` describes.
pub(super) async fn open_manager(options: &GlobalOptions) -> Result<Manager, Error> {
    Manager::open(&load_config(options)?).await
}
