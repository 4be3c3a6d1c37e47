//! Rosters: both processors say which batches they can sum in a window, and both sum exactly what both can.
//!
//! ```text
//! batches and the peer's validations --> verdicts (own bucket) --> our roster (own bucket, then the peer's mailbox)
//! our rosters + the peer's (copied into the own bucket) --> agreed set of each window, in order --> sum part
//! ```
//!
//! | file | does |
//! |---|---|
//! | [`agreement`], `history` | the rules, pure: what two rosters agree on, which packets count, what expires |
//! | `horizons` | whether the rules fit to how long things are kept and how late they can come |
//! | `policy`, `standing`, `chain` | which windows there are; what of each is in a bucket; how far they are agreed on |
//! | `gather`, `verdicts`, `listed` | what our roster lists, and what each listed batch adds to a sum |
//! | `signed` | whether what a name says is signed: nothing is listed before |
//! | `document` | rosters as bytes |
//! | `patience` | reads that are tried again |
//! | `write`, `peer` | our rosters go out; the peer's come in |
//! | `settle`, `counted` | the agreed sets, one after another; the packets that each counts |
//! | `sum`, `summed` | the sum part of an agreed set; which batches are summed with rosters, and which without |
//! | `view`, `earlier` | both sides' view of a window, and a batch's way through windows, for people; what an earlier window has settled |

pub mod agreement;
mod chain;
mod counted;
mod document;
mod earlier;
mod gather;
mod history;
pub(crate) mod horizons;
mod listed;
mod patience;
mod peer;
mod policy;
mod settle;
mod signed;
mod standing;
mod sum;
mod summary;
mod summed;
mod verdicts;
mod view;
mod write;

pub use agreement::TermsDiffer;
pub use earlier::EarlierOutcome;
pub use policy::{RosterPolicy, RosterRules};
pub use sum::aggregate_agreed;
pub use summary::{Alarm, RosterSummary};
pub(crate) use summed::agreed_in;
pub use view::{BatchView, Outcome, SideView, Whereabouts, WindowView, explain, show};

use crate::error::Error;
use crate::intake::Progress;
use crate::processor::Processor;
use std::sync::Arc;
use std::time::Instant;
use tallybox_model::roster::WindowName;
use tallybox_model::time::{BatchTime, Window};

/// By how much the machine's clock and the own bucket's may differ, in milliseconds.
const CLOCKS_MILLIS: i64 = 5 * 60_000;

/// Writes our rosters of all windows up to this one, takes the peer's in, and agrees on every window of which both are
/// there. Done twice, it changes nothing the second time.
///
/// That the peer's roster is not there yet is no error: the summary says so.
///
/// # Errors
/// [`Error`]: too early, clocks that differ, a bucket that fails, rules that differ.
pub async fn roster(processor: &Arc<Processor>, name: &WindowName, progress: Progress) -> Result<RosterSummary, Error> {
    let begun = Instant::now();
    let policy = policy(processor).await?;
    policy.check(name.window)?;
    check_time(processor, &policy, name).await?;
    let mut summary = RosterSummary::new(processor.role, name);
    let mut chain = write::rosters(processor, &policy, name, &mut summary, &progress).await?;
    settle::settle(processor, name, &mut chain, &mut summary).await?;
    summary.seconds = begun.elapsed().as_secs_f64();
    Ok(summary)
}

/// Whether a window's batches are agreed on by rosters.
///
/// # Errors
/// [`Error::TouchesRosters`] if the window overlaps windows of rosters and is none of them; the own bucket's.
pub async fn rostered(processor: &Processor, window: Window) -> Result<bool, Error> {
    match policy(processor).await {
        Ok(policy) => policy.holds(window),
        Err(Error::NoRosters) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The rules that hold.
pub(crate) async fn policy(processor: &Processor) -> Result<RosterPolicy, Error> {
    processor.rosters.ok_or(Error::NoRosters)?.policy(processor).await
}

/// A roster says what is there when its window is over, so its time has to have come by both clocks.
async fn check_time(processor: &Processor, policy: &RosterPolicy, name: &WindowName) -> Result<(), Error> {
    let due = policy.due_millis(name.window);
    let early = |now, clock| Error::TooEarly {
        window: name.window.to_string(),
        due: BatchTime::of_clock(due),
        now: BatchTime::of_clock(now),
        clock,
    };
    let ours = processor.clock.millis();
    if ours < due {
        return Err(early(ours, "the clock of this machine"));
    }
    let own = &processor.buckets.own;
    let theirs = own.date().await?;
    if (ours - theirs).abs() > CLOCKS_MILLIS {
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
