//! Aggregate: sums a window without rosters, and publishes its sum part.
//!
//! The task names the batches, or the window's batches in the ingestion bucket are summed, as in
//! ENPA. Only a lost prepared batch is computed again.

mod judge;
mod select;

pub use select::{Selection, select};

use crate::error::Error;
use crate::processor::Processor;
use crate::progress::ProgressCallback;
use crate::roster::{RosterStore, agreed_in, rostered};
use crate::sum::{
    AggregateError, AggregateSummary, DoneMark, alarm, check_fixed, check_share, claim, claimed,
    mark_done, publish_sum, summed_before,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tallybox_model::id::AggregationId;
use tallybox_model::path::{BatchName, SumPartName};
use tallybox_model::roster::WindowName;
use tallybox_model::time::Window;

/// A request to sum a window.
#[derive(Clone, Debug)]
pub struct AggregateTask {
    /// The aggregation.
    pub aggregation: AggregationId,
    /// The window.
    pub window: Window,
    /// The batches to sum. If empty, all batches of the window that both processors have.
    pub batches: Vec<BatchName>,
    /// Only reports what would be summed. Nothing is written, except missing prepared batches in
    /// the own bucket.
    pub dry_run: bool,
}

/// Sums a window without rosters. The operation is idempotent.
///
/// Every request for a sum without rosters runs this function: the command line, a queue task, and
/// a Job.
///
/// # Errors
/// [`AggregateError`] if there is nothing to sum, too few packets are accepted, the sum part exists with
/// other content, another window sums a batch, or something that is needed does not exist yet.
pub async fn aggregate(
    processor: &Arc<Processor>,
    task: &AggregateTask,
    progress: ProgressCallback,
) -> Result<AggregateSummary, AggregateError> {
    let start = Instant::now();
    // If this processor summed a window of rosters without the peer's agreement, the two sum parts
    // might not fit together.
    if rostered(&processor.buckets, &processor.limits, task.window).await? {
        return Err(Error::TouchesRosters {
            window: task.window.to_string(),
            problem: "the window is one of these; sum it without naming its batches".to_owned(),
        }
        .into());
    }
    let window = window_name(task);
    let selection = select(&processor.buckets, task).await?;
    let mut summary = AggregateSummary::new(processor.buckets.role, &window, task.dry_run);
    summary.foreign_objects = selection.foreign_objects;
    let groups = judge::judge(processor, task, &selection, (&mut summary, &progress)).await?;
    let group = judge::choose(groups, &mut summary);
    summary.finish(group.as_ref(), start.elapsed());
    alarm(&window, &summary);
    let Some(group) = group else {
        let error = summary.nothing_to_sum();
        return Err(AggregateError::new(error, summary));
    };
    let Some(releasable) = group.releasable(processor.limits.minimum_contributions) else {
        let error = Error::BelowMinimum {
            window: task.window.to_string(),
            accepted: group.accepted(),
            minimum: processor.limits.minimum_contributions,
        };
        return Err(AggregateError::new(error, summary));
    };
    if let Err(error) = check_share(
        &processor.buckets,
        &processor.limits,
        &window,
        &summary,
        task.dry_run,
    )
    .await
    {
        return Err(AggregateError::new(error, summary));
    }
    let name = SumPartName {
        instance: processor.buckets.instance.clone(),
        aggregation: task.aggregation.clone(),
        window: task.window,
        writer: processor.buckets.role,
    };
    summary.sum_part = Some(name.objects().header);
    let batches = group.batches();
    // Checked in a dry run, too, so that a dry run reports a batch that another window sums.
    let claimed = check_claims(processor, &window, &batches).await?;
    if !task.dry_run {
        // Checked first, so that no batch is claimed for a sum part that already exists with other
        // batches.
        check_fixed(processor, &name, &group).await?;
        claim(&processor.buckets, &window, &batches, &claimed).await?;
        summary.done_before = publish_sum(processor, &name, releasable).await?;
        mark_done(
            &processor.buckets,
            &window,
            &DoneMark::from_sum_part(&name, &group),
        )
        .await?;
    }
    summary.elapsed(start.elapsed());
    Ok(summary)
}

fn window_name(task: &AggregateTask) -> WindowName {
    WindowName {
        aggregation: task.aggregation.clone(),
        window: task.window,
    }
}

/// Checks that no other window sums any of these batches, with rosters or without. Returns the
/// batches that this window has already claimed.
///
/// # Errors
/// [`Error::SummedBefore`], which names both windows, or an error of the own bucket.
async fn check_claims(
    processor: &Arc<Processor>,
    name: &WindowName,
    batches: &[BatchName],
) -> Result<BTreeMap<BatchName, Window>, Error> {
    let mut claimed = claimed(&processor.buckets, &name.aggregation, name.window).await?;
    let store = RosterStore::new(processor, &name.aggregation);
    let agreed = agreed_in(&store, name.window).await?;
    for batch in batches {
        if let Some(then) = agreed.get(batch) {
            return Err(summed_before(batch, *then, name.window));
        }
        if let Some(then) = claimed.get(batch).filter(|then| **then != name.window) {
            return Err(summed_before(batch, *then, name.window));
        }
    }
    claimed.retain(|_, window| *window == name.window);
    Ok(claimed)
}
