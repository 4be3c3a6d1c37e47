//! Processes one message, from its bytes to its outcome.

use super::{Outcome, TaskKind};
use crate::aggregate::{AggregateTask, aggregate};
use crate::buckets::Buckets;
use crate::config::worker::Kind;
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
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{AggregationTask, IntakeTask, RosterTask, TaskError, WindowTask};
use tallybox_service::cause::chain;
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
pub async fn handle(processor: &Arc<Processor>, kind: Kind, body: &[u8]) -> Outcome {
    run_task(processor, kind, body, &no_progress())
        .await
        .outcome
}

/// [`handle`] with progress reports, and with results for the metrics.
pub(super) async fn run_task(
    processor: &Arc<Processor>,
    kind: Kind,
    body: &[u8],
    progress: &ProgressCallback,
) -> TaskResult {
    let task = match Task::parse(kind, body) {
        Ok(task) => task,
        Err(error) => {
            let reason = chain(&error);
            tracing::warn!(
                queue = kind.name(),
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
    let span = task.span(&processor.buckets);
    let working = AssertUnwindSafe(task.run(processor, progress, &mut report)).catch_unwind();
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
        task: task.kind(),
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

/// The task that a message contains.
enum Task {
    Intake(IntakeTask),
    Aggregate(AggregationTask),
    Roster(RosterTask),
}

impl Task {
    fn parse(kind: Kind, body: &[u8]) -> Result<Self, TaskError> {
        match kind {
            Kind::Intake => IntakeTask::parse(body).map(Self::Intake),
            Kind::Aggregate => WindowTask::parse(body).map(|task| match task {
                WindowTask::Aggregation(task) => Self::Aggregate(task),
                WindowTask::Roster(task) => Self::Roster(task),
            }),
        }
    }

    fn kind(&self) -> TaskKind {
        match self {
            Self::Intake(_) => TaskKind::Intake,
            Self::Aggregate(task) if task.agreed => TaskKind::Agreed,
            Self::Aggregate(_) => TaskKind::Aggregate,
            Self::Roster(_) => TaskKind::Roster,
        }
    }

    /// Creates the span that all log lines of the task carry.
    fn span(&self, buckets: &Buckets) -> Span {
        let span = tracing::info_span!(
            "task",
            task = self.kind().name(),
            instance = %buckets.instance,
            role = %buckets.role,
            trace_id = field::Empty,
            aggregation_id = field::Empty,
            batch_id = field::Empty,
            object_key = field::Empty,
        );
        let record = |trace_id: &uuid::Uuid,
                      aggregation: &dyn std::fmt::Display,
                      object: &dyn std::fmt::Display| {
            span.record("trace_id", field::display(trace_id));
            span.record("aggregation_id", field::display(aggregation));
            span.record("object_key", field::display(object));
        };
        match self {
            Self::Intake(task) => {
                let name = batch_name(task);
                record(
                    &task.trace_id,
                    &task.aggregation_id,
                    &name.ingestion().header,
                );
                span.record("batch_id", field::display(&task.batch_id));
            }
            Self::Aggregate(task) => record(&task.trace_id, &task.aggregation_id, &task.window),
            Self::Roster(task) => record(&task.trace_id, &task.aggregation_id, &task.window),
        }
        span
    }

    async fn run(
        &self,
        processor: &Arc<Processor>,
        progress: &ProgressCallback,
        report: &mut TaskReport,
    ) -> Result<(), Error> {
        let progress = Arc::clone(progress);
        match self {
            Self::Intake(task) => {
                report.intake = Some(intake(processor, &batch_name(task), progress).await?);
            }
            Self::Roster(task) => {
                let window = window_name(&task.aggregation_id, task.window);
                // The peer may be waiting for an object that its mailbox only claims to contain.
                put_again(processor, &task.aggregation_id).await;
                report.roster = Some(roster(processor, &window, progress).await?);
            }
            Self::Aggregate(task) if task.agreed => {
                let window = window_name(&task.aggregation_id, task.window);
                report.add_aggregate(aggregate_agreed(processor, &window, progress).await)?;
            }
            Self::Aggregate(task) => {
                put_again(processor, &task.aggregation_id).await;
                report.add_aggregate(aggregate_named(processor, task, progress).await)?;
            }
        }
        Ok(())
    }
}

/// Sums exactly the batches that the task names. The workflow manager names them once for each
/// window, so the result is final: a window that can never have a sum part is marked as done, too.
async fn aggregate_named(
    processor: &Arc<Processor>,
    task: &AggregationTask,
    progress: ProgressCallback,
) -> Result<AggregateSummary, AggregateError> {
    let window = window_name(&task.aggregation_id, task.window);
    let batch = |batch: &tallybox_model::task::TaskBatch| BatchName {
        aggregation: task.aggregation_id.clone(),
        date: batch.time,
        id: batch.id,
    };
    let batches: Vec<BatchName> = task.batches.iter().map(batch).collect();
    if let Some(outside) = batches.iter().find(|name| !task.window.contains(name.date)) {
        return Err(Error::BadTask(format!(
            "batch {outside} is outside the window {}",
            task.window
        ))
        .into());
    }
    if batches.is_empty() {
        return Err(Error::BadTask(format!("the task of window {window} names no batch")).into());
    }
    let task = AggregateTask {
        aggregation: task.aggregation_id.clone(),
        window: task.window,
        batches,
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
        mark_nothing(&processor.buckets, &window, error).await?;
    }
    result
}

fn batch_name(task: &IntakeTask) -> BatchName {
    BatchName {
        aggregation: task.aggregation_id.clone(),
        date: task.date,
        id: task.batch_id,
    }
}

fn window_name(
    aggregation: &tallybox_model::id::AggregationId,
    window: tallybox_model::time::Window,
) -> WindowName {
    WindowName {
        aggregation: aggregation.clone(),
        window,
    }
}
