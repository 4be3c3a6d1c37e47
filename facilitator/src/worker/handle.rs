//! Processes one message, from its bytes to its outcome.

use super::{Outcome, TaskKind};
use crate::aggregate::{AggregateTask, aggregate};
use crate::buckets::Buckets;
use crate::error::Error;
use crate::intake::{IntakeSummary, intake};
use crate::processor::Processor;
use crate::progress::{ProgressCallback, no_progress};
use crate::put_again::put_again;
use crate::roster::{RosterSummary, aggregate_agreed, roster};
use crate::sum::{AggregateError, AggregateSummary, mark_nothing};
use futures::FutureExt as _;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tallybox_model::cause::chain;
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{QueueKind, Task, TaskName, WindowKind};
use tallybox_service::exit::Exit;
use tracing::{Instrument as _, Span, field};

/// A message that has been processed.
#[derive(Debug)]
pub(super) struct TaskResult {
    /// The kind of task.
    pub(super) task: TaskKind,
    /// The outcome for the queue.
    pub(super) outcome: Outcome,
    /// Results for the metrics.
    pub(super) report: TaskReport,
}

/// The results of a task, for the metrics.
#[derive(Debug, Default)]
pub(super) struct TaskReport {
    /// The summary of an intake.
    pub(super) intake: Option<IntakeSummary>,
    /// The summary of an aggregation.
    pub(super) aggregate: Option<AggregateSummary>,
    /// The summary of a roster task.
    pub(super) roster: Option<RosterSummary>,
    /// True if the task panicked or met an internal error, which may be a bug of the program.
    pub(super) suspicious: bool,
    /// True if an object with other bytes exists under a name that the task writes.
    pub(super) conflict: bool,
    /// True if the window has too few packets for a sum part.
    pub(super) below_minimum: bool,
    /// True if the intake stopped because a key of this processor may be wrong.
    pub(super) wrong_key: bool,
    /// True if the sum part is held for an operator.
    pub(super) held: bool,
}

impl TaskReport {
    /// Keeps the summary of an aggregation, also if it ended without a sum part.
    fn add_aggregate(
        &mut self,
        result: Result<AggregateSummary, AggregateError>,
    ) -> Result<(), Error> {
        match result {
            Ok(summary) => {
                self.aggregate = Some(summary);
                Ok(())
            }
            Err(AggregateError { error, summary }) => {
                self.aggregate = summary.map(|summary| *summary);
                Err(error)
            }
        }
    }
}

/// Completes the task in a message of this queue.
///
/// Never panics, whatever the message contains: an unreadable message is rejected with a reason,
/// and a panic inside the task leads to a retry.
pub async fn handle(processor: &Arc<Processor>, kind: QueueKind, body: &[u8]) -> Outcome {
    run_task(processor, kind, body, &no_progress())
        .await
        .outcome
}

/// [`handle`] with progress reports, and with results for the metrics.
pub(super) async fn run_task(
    processor: &Arc<Processor>,
    kind: QueueKind,
    body: &[u8],
    progress: &ProgressCallback,
) -> TaskResult {
    let task = match Task::parse(kind, body) {
        Ok(task) => task,
        Err(error) => {
            let reason = chain(&error);
            tracing::warn!(
                queue = kind.as_str(),
                reason,
                "message is not a task; rejected"
            );
            return TaskResult {
                task: TaskKind::Unreadable,
                outcome: Outcome::Reject { reason },
                report: TaskReport::default(),
            };
        }
    };
    let mut report = TaskReport::default();
    let span = task_span(&task, &processor.buckets);
    let working = AssertUnwindSafe(run(&task, processor, progress, &mut report)).catch_unwind();
    let result = working.instrument(span.clone()).await;
    let outcome = span.in_scope(|| match result {
        Ok(Ok(())) => Outcome::Done,
        Ok(Err(error)) => failed(&error, &mut report),
        Err(panic) => {
            report.suspicious = true;
            let reason = format!("panicked: {}", panic_text(&*panic));
            tracing::error!(reason, "task panicked");
            Outcome::Retry {
                delay: None,
                reason,
            }
        }
    });
    span.in_scope(|| log_outcome(&outcome, &report));
    TaskResult {
        task: task_kind(&task),
        outcome,
        report,
    }
}

/// Maps an error to an outcome, and records it for the metrics.
fn failed(error: &Error, report: &mut TaskReport) -> Outcome {
    report.suspicious = matches!(error, Error::Internal(_));
    report.conflict = error.exit() == Exit::Conflict;
    report.below_minimum = error.exit() == Exit::BelowMinimum;
    report.held = error.exit() == Exit::Held;
    report.wrong_key = matches!(error, Error::WrongKey { .. });
    if report.wrong_key {
        tracing::error!(
            reason = chain(error),
            "intake stopped: a packet key, the role or an evaluation point of this processor may be wrong"
        );
    }
    if report.below_minimum {
        tracing::warn!(reason = chain(error), "window has no sum part");
    }
    if report.held {
        tracing::error!(
            reason = chain(error),
            "window is held until an operator releases it"
        );
    }
    Outcome::from_error(error)
}

/// Logs one line for each task.
fn log_outcome(outcome: &Outcome, report: &TaskReport) {
    match outcome {
        Outcome::Done => {
            let (intake, aggregate) = (report.intake.as_ref(), report.aggregate.as_ref());
            tracing::info!(
                accepted = intake.map_or_else(
                    || aggregate.map(|done| done.packets_accepted),
                    |done| Some(done.packets_accepted)
                ),
                rejected = intake.map(|done| done.packets_rejected),
                sum_part = aggregate.and_then(|done| done.sum_part.as_deref()),
                done_before = intake.map_or_else(
                    || aggregate.map(|done| done.done_before),
                    |done| Some(done.done_before)
                ),
                "task done"
            );
        }
        Outcome::Retry { reason, .. } => tracing::warn!(reason, "task will be retried"),
        Outcome::Reject { reason } if report.conflict => {
            tracing::error!(reason, "task rejected: conflict")
        }
        Outcome::Reject { reason } => tracing::warn!(reason, "task rejected"),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "the panic has no message".to_owned())
}

fn task_kind(task: &Task) -> TaskKind {
    match &task.name {
        TaskName::Intake(_) => TaskKind::Intake,
        TaskName::Window(WindowKind::Roster | WindowKind::Agree, _) => TaskKind::Roster,
        TaskName::Window(WindowKind::Aggregate, _) if task.batches.is_none() => TaskKind::Agreed,
        TaskName::Window(WindowKind::Aggregate, _) => TaskKind::Aggregate,
    }
}

/// Creates the span that all log lines of the task carry.
fn task_span(task: &Task, buckets: &Buckets) -> Span {
    let span = tracing::info_span!(
        "task",
        task = task_kind(task).name(),
        instance = %buckets.instance,
        role = %buckets.role,
        trace_id = %task.trace_id,
        aggregation_id = %task.name.aggregation(),
        batch_id = field::Empty,
        object_key = field::Empty,
    );
    match &task.name {
        TaskName::Intake(batch) => {
            span.record("object_key", field::display(batch.ingestion().header));
            span.record("batch_id", field::display(&batch.id));
        }
        TaskName::Window(_, name) => {
            span.record("object_key", field::display(name.window));
        }
    }
    span
}

async fn run(
    task: &Task,
    processor: &Arc<Processor>,
    progress: &ProgressCallback,
    report: &mut TaskReport,
) -> Result<(), Error> {
    let progress = Arc::clone(progress);
    match &task.name {
        TaskName::Intake(batch) => {
            report.intake = Some(intake(processor, batch, progress).await?);
        }
        TaskName::Window(WindowKind::Roster | WindowKind::Agree, window) => {
            // The peer may be waiting for an object that its mailbox only claims to contain.
            put_again(processor, &window.aggregation).await;
            report.roster = Some(roster(processor, window, progress).await?);
        }
        TaskName::Window(WindowKind::Aggregate, window) => match &task.batches {
            None => {
                report.add_aggregate(aggregate_agreed(processor, window, progress).await)?;
            }
            Some(batches) => {
                put_again(processor, &window.aggregation).await;
                let result = aggregate_named(processor, window, batches, progress).await;
                report.add_aggregate(result)?;
            }
        },
    }
    Ok(())
}

/// Sums exactly the batches that the task names. The workflow manager names them once for each
/// window, so the result is final: a window that can never have a sum part is marked as done, too.
async fn aggregate_named(
    processor: &Arc<Processor>,
    name: &WindowName,
    batches: &[BatchName],
    progress: ProgressCallback,
) -> Result<AggregateSummary, AggregateError> {
    let window = name.window;
    if let Some(outside) = batches.iter().find(|batch| !window.contains(batch.date)) {
        let problem = format!("batch {outside} is outside the window {window}");
        return Err(Error::BadTask(problem).into());
    }
    if batches.is_empty() {
        return Err(Error::BadTask(format!("the task of window {name} names no batch")).into());
    }
    let task = AggregateTask {
        aggregation: name.aggregation.clone(),
        window,
        batches: batches.to_vec(),
        dry_run: false,
    };
    let result = aggregate(processor, &task, progress).await;
    if let Err(AggregateError { error, .. }) = &result
        && matches!(
            error,
            Error::BelowMinimum { .. } | Error::NothingToSum { .. }
        )
        && matches!(error.exit(), Exit::BelowMinimum | Exit::Rejected)
    {
        mark_nothing(&processor.buckets, name, error).await?;
    }
    result
}
