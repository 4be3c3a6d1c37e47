//! `ingestor batch`

use std::fmt;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tallybox_model::time::BatchTime;
use tallybox_service::cause::chain;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;

use super::Arguments;
use crate::batch::{BatchOptions, BatchSummary, batch};
use crate::error::Error;

/// Batch every window that is due, and hand the batches to both processors
///
/// For a cron job, some minutes after the end of each window. It plans the windows that have ended, drops replays,
/// shuffles, cuts, signs, and writes to both mailboxes; then it deletes slabs that nothing needs any more. It can be
/// run at any time, as often as wanted and several at once: what is done stays as it is, to the byte, and what was
/// broken off is completed. Exit code 4 means that a bucket could not be reached or that other jobs still write: run it
/// again.
#[derive(Debug, Args)]
pub(super) struct BatchCommand {
    /// Only this locality; all, if not given
    #[arg(long, value_name = "NAME")]
    locality: Option<String>,
    /// End no window that starts after this one (UTC)
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM")]
    window: Option<BatchTime>,
    /// Write only this share of each window's partitions: job I of N, counted from 0, as an indexed Kubernetes job
    /// has it
    #[arg(long, value_name = "I/N", value_parser = parse_share)]
    share: Option<(u32, u32)>,
}

impl BatchCommand {
    pub(super) async fn run(&self, arguments: &Arguments) -> Result<Exit, Error> {
        let ingestor = arguments.ingestor()?;
        let bar = arguments.output.progress(None, "batch");
        let shown = bar.clone();
        let options = BatchOptions {
            until: self.window,
            share: self.share,
            turn: std::process::id(),
            progress: Some(Arc::new(move |packets| shown.advance(packets, 0))),
        };
        let mut done = Vec::new();
        let mut failed = None;
        for (name, locality) in &ingestor.localities {
            if self.locality.as_ref().is_some_and(|wanted| wanted != name) {
                continue;
            }
            // One locality that fails holds up no other.
            match batch(&ingestor, locality, &options).await {
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
            return Err(Error::Setting(format!("the configuration has no locality {unknown}")));
        }
        let waiting = done.iter().any(|summary| summary.waiting.is_some());
        arguments.print(&BatchesSummary { localities: done })?;
        match failed {
            Some(error) => Err(error),
            None if waiting => Ok(Exit::Retry),
            None => Ok(Exit::Done),
        }
    }
}

/// What a run did.
#[derive(Debug, Serialize)]
struct BatchesSummary {
    localities: Vec<BatchSummary>,
}

impl Summary for BatchesSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, summary) in self.localities.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            summary.human(f)?;
        }
        Ok(())
    }
}

fn parse_share(text: &str) -> Result<(u32, u32), String> {
    let parsed = text
        .split_once('/')
        .and_then(|(ours, jobs)| Some((ours.parse().ok()?, jobs.parse().ok()?)));
    parsed
        .filter(|(ours, jobs)| ours < jobs)
        .ok_or_else(|| "has to be I/N with I below N, such as 0/2".to_owned())
}
