//! Rosters: each processor publishes a signed list of the batches that it can sum in a window, and
//! both sum exactly the batches that both lists contain. `docs/rosters.md` states the rules.
//!
//! ```text
//! batches, the peer's validation batches --> verdicts (own bucket)
//! verdicts --> our roster (own bucket, then the peer's mailbox)
//! our rosters + the peer's (copied into the own bucket) --> agreed set of each window, in order
//! agreed set + verdicts --> sum part
//! ```
//!
//! | file | content |
//! |---|---|
//! | [`agreement`], `history` | the rules as pure functions: agreed batches, counts, expiry |
//! | `horizons` | checks the rules against retention periods and delays |
//! | `policy`, `agreement_state`, `first_window` | windows; state of the agreement; its start |
//! | `store` | the roster objects in the own bucket and the mailboxes |
//! | `gather`, `candidates`, `judge` | the batches of our roster: which exist, which can be summed |
//! | `signed` | verifies signatures before anything is listed |
//! | `write`, `peer` | publishes our rosters; copies the peer's |
//! | `agree`, `report` | the agreed sets, in order; alarms |
//! | `validations` | publishes validation batches again |
//! | `sum`, `summed` | the sum part of an agreed set; checks against sums without rosters |
//! | `view`, `earlier` | views of windows and batches for operators; results of earlier windows |

mod agree;
pub mod agreement;
mod agreement_state;
mod candidates;
mod earlier;
mod first_window;
mod gather;
mod history;
mod judge;
mod peer;
mod policy;
mod report;
mod signed;
mod store;
mod sum;
mod summary;
mod summed;
mod validations;
mod view;
mod write;

pub use earlier::EarlierOutcome;
pub use policy::RosterPolicy;
pub use sum::aggregate_agreed;
pub use summary::{Alarm, RosterSummary};
pub(crate) use summed::agreed_in;
pub use view::{AgreementOutcome, BatchView, SideView, Whereabouts, WindowView, explain, show};

use crate::buckets::Buckets;
use crate::error::Error;
use crate::limits::Limits;
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
    progress: ProgressCallback,
) -> Result<RosterSummary, Error> {
    let begun = Instant::now();
    let policy = policy(&processor.buckets, &processor.limits).await?;
    policy.check(name.window)?;
    check_time(&processor.buckets, &processor.resources, &policy, name).await?;
    let mut summary = RosterSummary::new(processor.buckets.role, name);
    let mut state =
        write::publish_rosters(processor, &policy, name, &mut summary, &progress).await?;
    agree::agree(processor, name, &mut state, &mut summary).await?;
    summary.seconds = begun.elapsed().as_secs_f64();
    Ok(summary)
}

/// Returns whether rosters decide on the batches of a window.
///
/// # Errors
/// [`Error::TouchesRosters`] if the window overlaps windows of rosters and is not one of them, or
/// an error of the own bucket.
pub async fn rostered(buckets: &Buckets, limits: &Limits, window: Window) -> Result<bool, Error> {
    match policy(buckets, limits).await {
        Ok(policy) => policy.holds(window),
        Err(Error::NoRosters) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the rules in force.
pub(crate) async fn policy(buckets: &Buckets, limits: &Limits) -> Result<RosterPolicy, Error> {
    let rules = limits.rosters.ok_or(Error::NoRosters)?;
    RosterPolicy::in_force(&rules, buckets).await
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
