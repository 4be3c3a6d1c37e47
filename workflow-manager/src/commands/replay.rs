//! The command `workflow-manager replay`.

use std::fmt;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde::Serialize;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::time::BatchTime;
use tallybox_queue::SharedQueue;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;

use super::options::{load_config, open_manager};
use crate::error::Error;
use crate::manager::Manager;
use crate::rejected::{Rejected, RejectedAction, rejected, resolve_rejected};
use crate::summary::printable;
use tallybox_model::task::QueueKind;

const AFTER_HELP: &str = "\
Every task is idempotent: a repeated run changes nothing and writes the same
bytes.

Examples:
  workflow-manager --config F replay window --aggregation NAME --start 2026/03/01/08/00
  workflow-manager --config F replay batch NAME/2026/03/01/08/05/UUID
  workflow-manager --config F replay rejected
  workflow-manager --config F replay rejected --match unknown-key --yes
  workflow-manager --config F replay rejected --done --drop";

/// Start a task again, regardless of earlier starts
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct ReplayCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Window(WindowCommand),
    Batch(BatchCommand),
    Rejected(RejectedCommand),
}

/// The current step of a window: its roster, the agreement of both rosters, or its sum
#[derive(Debug, Args)]
struct WindowCommand {
    /// The aggregation
    #[arg(long, value_name = "NAME")]
    aggregation: AggregationId,
    /// Any minute of the window (UTC)
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM")]
    start: BatchTime,
}

/// The intake of a batch
#[derive(Debug, Args)]
struct BatchCommand {
    /// The batch: AGGREGATION/YYYY/MM/DD/HH/MM/UUID
    #[arg(value_name = "BATCH", value_parser = parse_batch)]
    batch: BatchName,
}

/// Tasks that workers rejected, with their reasons; shown only, without --yes or --drop
#[derive(Debug, Args)]
struct RejectedCommand {
    /// Only tasks of this queue. Default: both queues
    #[arg(long, value_parser = queue_parser())]
    queue: Option<QueueKind>,
    /// Only tasks whose reason or name contains this text
    #[arg(long, value_name = "TEXT")]
    r#match: Option<String>,
    /// Only tasks whose work has been done since
    #[arg(long)]
    done: bool,
    /// Limit of messages to read from each queue
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    most: usize,
    /// Publish them to their queue again
    #[arg(long)]
    yes: bool,
    /// Delete them permanently
    #[arg(long, conflicts_with = "yes")]
    drop: bool,
}

fn queue_parser() -> impl TypedValueParser<Value = QueueKind> {
    let names = PossibleValuesParser::new(QueueKind::ALL.map(QueueKind::as_str));
    names.try_map(|name| {
        let kind = QueueKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name);
        kind.ok_or("unknown queue")
    })
}

impl ReplayCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let manager = open_manager(options).await?;
        let due = match &self.what {
            What::Window(command) => {
                let window = manager.policy.window_of(command.start);
                let window =
                    window.ok_or_else(|| Error::Setting("--start is out of range".to_owned()))?;
                let aggregation = command.aggregation.clone();
                manager
                    .plan_window_restart(&WindowName {
                        aggregation,
                        window,
                    })
                    .await?
            }
            What::Batch(command) => manager.plan_batch_restart(&command.batch).await?,
            What::Rejected(command) => return command.run(options).await,
        };
        let summary = manager.start_due(due).await;
        options.print(&summary)?;
        Ok(summary.exit())
    }
}

impl RejectedCommand {
    async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let config = load_config(options)?;
        let Some(queues) = &config.value.queues else {
            return Err(Error::Setting(
                "the configuration has no queues: with Jobs, look for failed Jobs instead"
                    .to_owned(),
            ));
        };
        let manager = Manager::open(&config).await?;
        let mut messages = Vec::new();
        for kind in QueueKind::ALL {
            if self.queue.is_none_or(|wanted| wanted == kind) {
                let place = queues.place(kind);
                let from = place.open_rejected(&config.directory)?;
                let to = place.open(&config.directory)?;
                messages.extend(self.queue(kind, &manager, (from, to)).await?);
            }
        }
        options.print(&RejectedSummary {
            replayed: messages.iter().filter(|message| message.replayed).count(),
            dropped: messages.iter().filter(|message| message.dropped).count(),
            messages,
        })?;
        Ok(Exit::Done)
    }

    async fn queue(
        &self,
        kind: QueueKind,
        manager: &Manager,
        (from, to): (SharedQueue, SharedQueue),
    ) -> Result<Vec<Rejected>, Error> {
        let mut messages = rejected(kind, &from, self.most, (&manager.buckets, None)).await?;
        resolve_rejected(&mut messages, &from, &to, |message| {
            self.choose_action(message)
        })
        .await?;
        messages.retain(|message| self.wants(message));
        Ok(messages)
    }

    fn wants(&self, message: &Rejected) -> bool {
        let matches = self
            .r#match
            .as_deref()
            .is_none_or(|text| message.matches(text));
        matches && (message.done || !self.done)
    }

    fn choose_action(&self, message: &Rejected) -> RejectedAction {
        match self.wants(message) {
            true if self.drop => RejectedAction::Drop,
            true if self.yes => RejectedAction::Replay,
            _ => RejectedAction::Keep,
        }
    }
}

/// The rejected tasks that were found, with their status.
#[derive(Debug, Serialize)]
struct RejectedSummary {
    messages: Vec<Rejected>,
    replayed: usize,
    dropped: usize,
}

impl Summary for RejectedSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rejected tasks, {} started again, {} removed",
            self.messages.len(),
            self.replayed,
            self.dropped
        )?;
        for message in &self.messages {
            let mark = match message {
                Rejected { replayed: true, .. } => "again",
                Rejected { dropped: true, .. } => "removed",
                Rejected { done: true, .. } => "done since",
                Rejected {
                    readable: false, ..
                } => "unreadable",
                _ => "-",
            };
            let (task, reason) = (printable(&message.task), printable(&message.reason));
            write!(
                f,
                "\n  {:<9} {mark:<10} {task}: {reason}",
                message.queue.as_str()
            )?;
        }
        Ok(())
    }
}

fn parse_batch(text: &str) -> Result<BatchName, String> {
    let lenient = text.rsplit_once('/').and_then(|(stem, id)| {
        let id: BatchId = id.parse().ok()?;
        BatchName::parse(&format!("{stem}/{id}"))
    });
    lenient.ok_or_else(|| "must be AGGREGATION/YYYY/MM/DD/HH/MM/UUID".to_owned())
}
