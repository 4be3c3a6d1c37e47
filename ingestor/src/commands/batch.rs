//! `ingestor batch`: batches the windows that are due.

use std::fmt;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tallybox_model::cause::chain;
use tallybox_model::time::BatchTime;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;

use super::options::ingestor;
use crate::batch::{BatchOptions, BatcherSummary, batch};
use crate::error::Error;

/// Batch every window that is due, and write the batches to the mailboxes of both processors
///
/// Run it as a cron job, some minutes after the end of each window. The command plans the windows
/// that have ended, drops replays, shuffles, cuts and signs, and writes to both mailboxes. Then it
/// deletes slabs that are no longer needed. The command is idempotent: a repeated run changes
/// nothing and writes the same bytes. Runs may start at any time and overlap, and a run completes
/// interrupted ones. Exit code 4 means that a bucket could not be reached or that other jobs have
/// not finished writing: run the command again.
#[derive(Debug, Args)]
pub(super) struct BatchCommand {
    /// Batch only this locality (default: all localities)
    #[arg(long, value_name = "NAME")]
    locality: Option<String>,
    /// Batch no window that starts later than this one (UTC)
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM")]
    window: Option<BatchTime>,
    /// Write only part I of N of each window's partitions, with I counted from 0, as in an indexed
    /// Kubernetes job
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    share: Option<(u32, u32)>,
}

impl BatchCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let ingestor = ingestor(options)?;
        let bar = options.output.progress(None, "batch");
        let shown = bar.clone();
        let batch_options = BatchOptions {
            until: self.window,
            shard: self.share,
            partition_seed: std::process::id(),
            progress: Some(Arc::new(move |packets| shown.advance(packets, 0))),
        };
        let mut done = Vec::new();
        let mut failed = None;
        for (name, locality) in &ingestor.localities {
            if self.locality.as_ref().is_some_and(|wanted| wanted != name) {
                continue;
            }
            // A locality that fails does not stop the others; the run reports its first error at
            // the end.
            match batch(&ingestor, locality, &batch_options).await {
                Ok(summary) => done.push(summary),
                Err(error) => {
                    tracing::error!(locality = name, error = chain(&error), "batching failed");
                    failed.get_or_insert(error);
                }
            }
        }
        bar.finish();
        if let Some(unknown) = self
            .locality
            .as_ref()
            .filter(|name| !ingestor.localities.contains_key(*name))
        {
            return Err(Error::Setting(format!(
                "the configuration has no locality {unknown}"
            )));
        }
        let waiting = done.iter().any(|summary| summary.waiting.is_some());
        options.print(&BatchesSummary { localities: done })?;
        match failed {
            Some(error) => Err(error),
            None if waiting => Ok(Exit::Retry),
            None => Ok(Exit::Done),
        }
    }
}

/// The summary of a run.
#[derive(Debug, Serialize)]
struct BatchesSummary {
    localities: Vec<BatcherSummary>,
}

impl Summary for BatchesSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, summary) in self.localities.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            summary.human(f)?;
        }
        Ok(())
    }
}

fn parse_shard(text: &str) -> Result<(u32, u32), String> {
    let parsed = text
        .split_once('/')
        .and_then(|(ours, jobs)| Some((ours.parse().ok()?, jobs.parse().ok()?)));
    parsed
        .filter(|(ours, jobs)| ours < jobs)
        .ok_or_else(|| "has to be I/N with I below N, such as 0/2".to_owned())
}
