//! One message, from its bytes to what becomes of it.

use super::{Kind, Outcome, TaskKind};
use crate::aggregate::{AggregateSummary, AggregateTask, aggregate, mark_nothing};
use crate::error::Error;
use crate::intake::{IntakeSummary, Progress, intake, no_progress};
use crate::processor::Processor;
use crate::roster::{RosterSummary, aggregate_agreed, roster};
use crate::unconfirmed::put_again;
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

/// A message that has been dealt with.
#[derive(Debug)]
pub(super) struct Handled {
    /// What it asked for.
    pub(super) task: TaskKind,
    /// What becomes of it.
    pub(super) outcome: Outcome,
    /// What it found, to be counted.
    pub(super) found: Found,
}

/// What a task found, to be counted.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Of an intake.
    pub(super) intake: Option<IntakeSummary>,
    /// Of an aggregation.
    pub(super) aggregate: Option<AggregateSummary>,
    /// Of a roster.
    pub(super) roster: Option<RosterSummary>,
    /// A bug of ours, perhaps: it panicked, or met an internal error.
    pub(super) suspicious: bool,
    /// Other bytes stand where ours should.
    pub(super) conflict: bool,
    /// Too few packets for a sum part.
    pub(super) below_minimum: bool,
    /// A key of ours does not fit, perhaps.
    pub(super) wrong_key: bool,
    /// The sum part waits for an operator.
    pub(super) held: bool,
}

/// Does what a message of this queue asks for, to its end.
///
/// Never panics, whatever the message is: what cannot be read is rejected with its reason, and a panic of what is called
/// is a reason to try again.
pub async fn handle(processor: &Arc<Processor>, kind: Kind, body: &[u8]) -> Outcome {
    handled(processor, kind, body, &no_progress()).await.outcome
}

/// [`handle`], with what is to be counted.
pub(super) async fn handled(processor: &Arc<Processor>, kind: Kind, body: &[u8], progress: &Progress) -> Handled {
    let task = match Task::parse(kind, body) {
        Ok(task) => task,
        Err(error) => {
            let reason = chain(&error);
            tracing::warn!(queue = kind.name(), reason, "message is no task; rejected");
            return Handled {
                task: TaskKind::Unreadable,
                outcome: Outcome::Reject { reason },
                found: Found::default(),
            };
        }
    };
    let mut found = Found::default();
    let span = task.span(processor);
    let working = AssertUnwindSafe(task.run(processor, progress, &mut found)).catch_unwind();
    let result = working.instrument(span.clone()).await;
    let outcome = span.in_scope(|| match result {
        Ok(Ok(())) => Outcome::Done,
        Ok(Err(error)) => failed(&error, &mut found),
        Err(panic) => {
            found.suspicious = true;
            let reason = format!("panicked: {}", panic_text(&*panic));
            tracing::error!(reason, "task panicked");
            Outcome::Retry { delay: None, reason }
        }
    });
    span.in_scope(|| report(&outcome, &found));
    Handled {
        task: task.kind(),
        outcome,
        found,
    }
}

/// What an error means, and what of it is counted.
fn failed(error: &Error, found: &mut Found) -> Outcome {
    found.suspicious = matches!(error, Error::Internal(_));
    found.conflict = error.exit() == Exit::Conflict;
    found.below_minimum = error.exit() == Exit::BelowMinimum;
    found.held = error.exit() == Exit::Held;
    found.wrong_key = matches!(error, Error::WrongKey { .. });
    if found.wrong_key {
        tracing::error!(
            reason = chain(error),
            "batch is not taken in: a packet key, the role or a point may be wrong"
        );
    }
    if let Some(summary) = error.summary() {
        found.aggregate = Some(summary.clone());
    }
    if found.below_minimum {
        tracing::warn!(reason = chain(error), "window has no sum part");
    }
    if found.held {
        tracing::error!(reason = chain(error), "window is held: an operator has to look");
    }
    Outcome::of_error(error)
}

/// One line a task.
fn report(outcome: &Outcome, found: &Found) {
    match outcome {
        Outcome::Done => {
            let (intake, aggregate) = (found.intake.as_ref(), found.aggregate.as_ref());
            tracing::info!(
                accepted = intake.map_or_else(
                    || aggregate.map(|done| done.packets_accepted),
                    |done| Some(done.packets_accepted)
                ),
                rejected = intake.map(|done| done.packets_rejected),
                sum_part = aggregate.and_then(|done| done.sum_part.as_deref()),
                done_before =
                    intake.map_or_else(|| aggregate.map(|done| done.done_before), |done| Some(done.done_before)),
                "task done"
            );
        }
        Outcome::Retry { reason, .. } => tracing::warn!(reason, "task is tried again"),
        Outcome::Reject { reason } if found.conflict => tracing::error!(reason, "task rejected: conflict"),
        Outcome::Reject { reason } => tracing::warn!(reason, "task rejected"),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no reason was given".to_owned())
}

/// What a message asks for.
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

    /// What all that is logged of the task carries.
    fn span(&self, processor: &Processor) -> Span {
        let span = tracing::info_span!(
            "task",
            task = self.kind().name(),
            instance = %processor.instance,
            role = %processor.role,
            trace_id = field::Empty,
            aggregation_id = field::Empty,
            batch_id = field::Empty,
            object_key = field::Empty,
        );
        let record = |trace_id: &uuid::Uuid, aggregation: &dyn std::fmt::Display, object: &dyn std::fmt::Display| {
            span.record("trace_id", field::display(trace_id));
            span.record("aggregation_id", field::display(aggregation));
            span.record("object_key", field::display(object));
        };
        match self {
            Self::Intake(task) => {
                let name = batch_name(task);
                record(&task.trace_id, &task.aggregation_id, &name.ingestion().header);
                span.record("batch_id", field::display(&task.batch_id));
            }
            Self::Aggregate(task) => record(&task.trace_id, &task.aggregation_id, &task.window),
            Self::Roster(task) => record(&task.trace_id, &task.aggregation_id, &task.window),
        }
        span
    }

    async fn run(&self, processor: &Arc<Processor>, progress: &Progress, found: &mut Found) -> Result<(), Error> {
        let progress = Arc::clone(progress);
        match self {
            Self::Intake(task) => {
                found.intake = Some(intake(processor, &batch_name(task), progress).await?);
            }
            Self::Roster(task) => {
                let window = window_name(&task.aggregation_id, task.window);
                put_again(processor, &task.aggregation_id).await;
                found.roster = Some(roster(processor, &window, progress).await?);
            }
            Self::Aggregate(task) if task.agreed => {
                let window = window_name(&task.aggregation_id, task.window);
                found.aggregate = Some(aggregate_agreed(processor, &window, progress).await?);
            }
            Self::Aggregate(task) => {
                put_again(processor, &task.aggregation_id).await;
                found.aggregate = Some(aggregate_named(processor, task, progress).await?);
            }
        }
        Ok(())
    }
}

/// Sums exactly the batches that the task names. The workflow manager names them once a window, so what they come to
/// is the last word on it: a window that can never have a sum part is done, too.
async fn aggregate_named(
    processor: &Arc<Processor>,
    task: &AggregationTask,
    progress: Progress,
) -> Result<AggregateSummary, Error> {
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
        )));
    }
    if batches.is_empty() {
        return Err(Error::BadTask(format!("the task of window {window} names no batch")));
    }
    let task = AggregateTask {
        aggregation: task.aggregation_id.clone(),
        window: task.window,
        batches,
        dry_run: false,
    };
    let result = aggregate(processor, &task, progress).await;
    if let Err(error) = &result
        && matches!(error, Error::BelowMinimum { .. } | Error::NothingToSum { .. })
        && matches!(error.exit(), Exit::BelowMinimum | Exit::Rejected)
    {
        mark_nothing(processor, &window, error).await?;
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

fn window_name(aggregation: &tallybox_model::id::AggregationId, window: tallybox_model::time::Window) -> WindowName {
    WindowName {
        aggregation: aggregation.clone(),
        window,
    }
}
