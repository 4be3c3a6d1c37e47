//! The command `portal rebuild`: recreates the database from the evidence.

use clap::Args;
use tallybox_service::clock::Clock;
use tallybox_service::exit::Exit;
use tallybox_service::shell::GlobalOptions;

use crate::config::Config;
use crate::error::Error;
use crate::rebuild::rebuild;
use crate::store::Store;

/// Recreate the database from the evidence
///
/// The command removes all windows from the database, verifies every evidence object again with
/// the keys of the configuration, and stores its sum. Findings stay. Afterwards, run
/// `portal collect --all`, which finds one-sided windows and pairs that cannot be added again.
///
/// Stop other portal commands while it runs. If it is interrupted, run it again.
#[derive(Debug, Args)]
pub(super) struct RebuildCommand {}

impl RebuildCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let config = Config::load(options.config_file()?)?;
        let store = Store::open(&config.value.database.url(&config.directory)?).await?;
        let progress = options.output.progress(None, "rebuild");
        let rebuilt = rebuild(&config, &store, &Clock::system(), &progress).await;
        progress.finish();
        store.close().await;
        let rebuilt = rebuilt?;
        options.print(&rebuilt)?;
        Ok(rebuilt.exit())
    }
}
