//! Runs the steps of a roster task.

use super::adopt_peer::{adopt_all, adopt_peer};
use super::agree::agree;
use super::load::read_progress;
use super::policy::RosterPolicy;
use super::progress::Progress;
use super::report::{report, report_second_roster};
use super::store::{RosterStore, read_policy};
use super::summary::{Alarm, RosterSummary};
use super::write_ours::{publish_again, write_ours};
use crate::buckets::Buckets;
use crate::error::Error;
use crate::processor::Processor;
use crate::progress::ProgressCallback;
use crate::resources::Resources;
use std::sync::Arc;
use std::time::Instant;
use tallybox_model::roster::WindowName;
use tallybox_model::time::{BatchTime, Window};

/// The largest accepted difference between this machine's clock and the own bucket's, in
/// milliseconds.
const MAX_CLOCK_DIFFERENCE_MILLIS: i64 = 5 * 60_000;

/// Writes our rosters of all windows up to this one, copies the peer's, and agrees on every window
/// for which both exist. The operation is idempotent.
///
/// A missing roster of the peer is not an error; the summary reports it.
///
/// # Errors
/// [`Error`] if the roster is not due, the clocks differ, a bucket fails, or the rules of the two
/// processors differ.
pub async fn roster(
    processor: &Arc<Processor>,
    name: &WindowName,
    callback: ProgressCallback,
) -> Result<RosterSummary, Error> {
    let begun = Instant::now();
    let policy = read_policy(&processor.buckets, &processor.limits).await?;
    policy.check(name.window)?;
    check_time(&processor.buckets, &processor.resources, &policy, name).await?;
    let store = RosterStore::new(processor, &name.aggregation);
    let mut summary = RosterSummary::new(processor.buckets.role, name);
    let mut progress = read_progress(&store, policy, name.window).await?;
    if progress.policy.terms != policy.terms {
        summary.alarm(Alarm::TermsConfigured {
            configured: policy.terms,
            holds: progress.policy.terms,
        });
    }
    adopt_all(&store, &mut progress, &mut summary).await?;
    // All missing rosters are written before the first window is agreed on: the peer can agree on
    // all of them, even if this run is interrupted.
    for window in progress.windows_to_write(name.window) {
        write_ours(&store, &mut progress, window, &mut summary, &callback).await?;
    }
    publish_again(&store, &progress, &summary).await?;
    agree_in_order(&store, &mut progress, name.window, &mut summary).await?;
    summary.seconds = begun.elapsed().as_secs_f64();
    Ok(summary)
}

/// Agrees on every window up to `last`, in order, as long as both rosters exist.
async fn agree_in_order(
    store: &RosterStore<'_>,
    progress: &mut Progress,
    last: Window,
    summary: &mut RosterSummary,
) -> Result<(), Error> {
    let policy = progress.policy;
    for window in policy.windows(progress.next, last) {
        let Some(theirs) = adopt_peer(store, progress, window, summary).await? else {
            summary.waits_for = Some(window);
            return Ok(());
        };
        let agreed = agree(store, progress, window, &theirs, summary).await?;
        report(store, &agreed, summary).await?;
    }
    for window in policy.windows(policy.back(last, 1), last) {
        if progress.copied_rosters.contains(&window) {
            report_second_roster(store, window, summary).await?;
        }
    }
    Ok(())
}

/// Checks that the roster of a window is due. A roster lists the batches that exist when its window
/// is over, so both this machine's clock and the own bucket's have to be past that time.
async fn check_time(
    buckets: &Buckets,
    resources: &Resources,
    policy: &RosterPolicy,
    name: &WindowName,
) -> Result<(), Error> {
    let due = policy.due_millis(name.window);
    let early = |now, clock| Error::TooEarly {
        window: name.window.to_string(),
        due: BatchTime::of_clock(due),
        now: BatchTime::of_clock(now),
        clock,
    };
    let ours = resources.clock.millis();
    if ours < due {
        return Err(early(ours, "the clock of this machine"));
    }
    let own = &buckets.own;
    let theirs = own.date().await?;
    if (ours - theirs).abs() > MAX_CLOCK_DIFFERENCE_MILLIS {
        return Err(Error::Clocks {
            bucket: own.location(),
            seconds: (ours - theirs) / 1000,
        });
    }
    if theirs < due {
        return Err(early(theirs, "the clock of the own bucket"));
    }
    Ok(())
}
