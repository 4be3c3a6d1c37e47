//! The command `portal collect`: adds the sum parts that have arrived in the mailboxes.

use clap::Args;
use tallybox_service::clock::Clock;
use tallybox_service::exit::Exit;
use tallybox_service::shell::GlobalOptions;

use crate::collect::{CollectOptions, SumCollector};
use crate::config::Config;
use crate::error::Error;
use crate::store::Store;

/// Add the sum parts that have arrived in the mailboxes
///
/// For every window whose two sum parts are there, the command verifies both signatures, compares
/// the parts, adds them, keeps them as evidence, and stores the sum. A pair that cannot be added is
/// a finding with the likely cause and the next step; so is a part that is late. Run the command
/// from cron: it only processes what is new, and an interrupted run is continued by the next one.
///
/// If the parts of both processors were replaced by new ones that can be added, they are a
/// correction: the new sum supersedes the old one, and both stay visible.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct CollectCommand {
    /// Look for windows of any age, not only for those within look-back-days
    #[arg(long)]
    all: bool,
    /// Read the sum parts of known windows again, and compare each byte with the evidence; without
    /// this option, only a change of a file's size is noticed
    #[arg(long)]
    recheck: bool,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  done; nothing is wrong that was not known before
  2  the configuration or a key file is wrong
  3  there are new findings
  4  a bucket or the database is out of reach: run the command again later";

impl CollectCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let config = Config::load(options.config_file()?)?;
        let store = Store::open(&config.value.database.url(&config.directory)?).await?;
        let collector = SumCollector::open(&config, store.clone(), Clock::system())?;
        let collect = CollectOptions {
            all: self.all,
            recheck: self.recheck,
        };
        let progress = options.output.progress(None, "collect");
        let collected = collector.run(collect, &progress).await;
        progress.finish();
        store.close().await;
        let collected = collected?;
        options.print(&collected)?;
        Ok(collected.exit())
    }
}
