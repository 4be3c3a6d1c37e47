//! `ingestor redeliver`: writes batches again that a mailbox has lost.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use tallybox_model::id::BatchId;
use tallybox_model::time::BatchTime;
use tallybox_service::exit::Exit;
use tallybox_service::shell::GlobalOptions;

use super::options::ingestor;
use crate::batch::{Redelivery, redeliver};
use crate::error::Error;

const AFTER_HELP: &str = "\
Use this command if a processor's mailbox has lost a batch, or has deleted it
before the processor could fetch it:

  ingestor --config ingestor.yaml redeliver --window 2026/01/31/12/00 \\
      --batch 5fd2ffef-7f5c-4b4b-8f0f-3a3c0b4d8d5e --to second

The summary of `ingestor batch --json` and the processors' rosters contain the
names of a window's batches.";

/// Write batches of a window again, with the same bytes, where a mailbox does not hold them
///
/// Works as long as the spool keeps the slabs of the window (`batches.keep-slabs-hours` after its
/// end). The command neither overwrites objects nor batches reports again: an existing object with
/// other bytes is a conflict (exit code 5). Exit code 3 means that the spool does not hold the
/// window, or that the window has no such batch.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct RedeliverCommand {
    /// Start of the ingestion window (UTC)
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM")]
    window: BatchTime,
    /// Write only this batch; may be given several times (default: all batches of the window)
    #[arg(long = "batch", value_name = "UUID")]
    batches: Vec<BatchId>,
    /// Write only to this processor (default: both)
    #[arg(long, value_enum)]
    to: Option<To>,
    /// Locality; may be omitted if the configuration has only one
    #[arg(long, value_name = "NAME")]
    locality: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// The first processor
    First,
    /// The second processor
    Second,
}

impl RedeliverCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let ingestor = ingestor(options)?;
        let mut wanted = ingestor
            .localities
            .iter()
            .filter(|(name, _)| self.locality.as_ref().is_none_or(|wanted| wanted == *name));
        let locality = match (wanted.next(), wanted.next()) {
            (Some((_, locality)), None) => locality,
            (Some(_), Some(_)) => {
                let problem = "the configuration has several localities: name one with --locality";
                return Err(Error::Setting(problem.to_owned()));
            }
            (None, _) => {
                let name = self.locality.as_deref().unwrap_or_default();
                return Err(Error::Setting(format!(
                    "the configuration has no locality {name}"
                )));
            }
        };
        let redelivery = Redelivery {
            window: self.window,
            batches: self.batches.iter().copied().collect::<BTreeSet<_>>(),
            sides: [To::First, To::Second].map(|side| self.to.is_none_or(|to| to == side)),
        };
        let summary = redeliver(&ingestor, locality, &redelivery).await?;
        options.print(&summary)?;
        Ok(Exit::Done)
    }
}
