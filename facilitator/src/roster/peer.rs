//! The peer's rosters: the first valid roster of each window is copied into the own bucket, and
//! only the copy counts.
//!
//! A copy carries the peer's signature and is stored as an authenticated record nevertheless: a
//! peer that signs two rosters and can write to our own bucket could otherwise replace the copy by
//! the other roster.

use super::agreement::Roster;
use super::agreement_state::{AgreementState, with_window};
use super::store::document::{decode, roster_bytes};
use super::store::listing::{WindowListing, list_window_objects};
use super::store::retry::retry_read;
use super::summary::{Alarm, RosterSummary};
use crate::buckets::Buckets;
use crate::budget::MemoryPermit;
use crate::error::Error;
use crate::limits::Limits;
use crate::processor::Processor;
use crate::progress::no_progress;
use crate::resources::Resources;
use bytes::Bytes;
use tallybox_model::digest::Digest;
use tallybox_model::id::AggregationId;
use tallybox_model::roster::{ChainReach, WindowName};
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::{BucketError, read_all};

/// The greatest time by which a window may end after our present time if the peer's roster of it is
/// copied, in milliseconds.
const MAX_AHEAD_MILLIS: i64 = 24 * 60 * 60_000;
/// The most rosters of the peer that a run copies in addition to those that it needs.
const MOST_COPIED_ROSTERS: usize = 1024;

/// Lists the peer's rosters in our mailbox.
pub(super) async fn mailbox(
    buckets: &Buckets,
    aggregation: &AggregationId,
    start: BatchTime,
) -> Result<WindowListing, Error> {
    list_window_objects(buckets, &*buckets.peer_validation_in, aggregation, start).await
}

/// Copies all of the peer's rosters that are in the mailbox, before ours are written. After a peer
/// has found our roster, it agrees on the window and does not put its own roster there again; and
/// the retention of the objects in the mailbox may end soon.
pub(super) async fn copy_rosters(
    processor: &Processor,
    name: &WindowName,
    state: &mut AgreementState,
    summary: &mut RosterSummary,
) -> Result<(), Error> {
    let policy = state.policy;
    // The peer chooses the names in the mailbox, so they may denote no window; and no honest clock
    // is a day ahead of ours.
    let latest = processor.resources.clock.millis() + MAX_AHEAD_MILLIS;
    let is_window = |window: &&Window| {
        window.start() >= state.next
            && window.end().millis() <= latest
            && policy.check(**window).is_ok()
    };
    let open = state.mailbox.theirs.difference(&state.own.theirs);
    let open: Vec<Window> = open
        .filter(is_window)
        .take(MOST_COPIED_ROSTERS)
        .copied()
        .collect();
    for window in open {
        theirs(processor, &with_window(name, window), state, summary).await?;
    }
    Ok(())
}

/// Returns the peer's roster of a window; `None` if it does not exist or is invalid. An invalid
/// roster raises an alarm.
pub(super) async fn theirs(
    processor: &Processor,
    name: &WindowName,
    state: &mut AgreementState,
    summary: &mut RosterSummary,
) -> Result<Option<Roster>, Error> {
    if state.own.theirs.contains(&name.window) {
        return copy(processor, name).await.map(Some);
    }
    if !state.mailbox.theirs.contains(&name.window) {
        return roster_before_peer_start(processor, name, state, summary).await;
    }
    if state.refused.contains(&name.window) {
        return Ok(None);
    }
    let (role, keys) = (processor.buckets.role.peer(), &processor.keys.peer);
    let mut file = match fetch(&processor.buckets, &processor.limits, name).await {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(None),
        Err(error @ Error::Bucket(BucketError::TooLarge { .. })) => {
            summary.alarm(Alarm::BadRoster {
                object: name.roster(role),
                problem: error.to_string(),
            });
            state.refused.insert(name.window);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let share = memory(&processor.resources, &file).await;
    let mut decoded = decode(processor, name, role, keys, &file);
    if decoded.is_err() {
        // A single bad read is not evidence of a bad roster. The first file is dropped to save
        // memory, and identical bytes need no second check.
        let first = Digest::sha256(&file);
        drop(std::mem::take(&mut file));
        let Some(second) = fetch(&processor.buckets, &processor.limits, name).await? else {
            return Ok(None);
        };
        file = second;
        if Digest::sha256(&file) != first {
            decoded = decode(processor, name, role, keys, &file);
        }
    }
    match decoded {
        Ok(_) => {}
        Err(error) if error.is_passing() => return Err(error),
        Err(error) => {
            let object = name.roster(role);
            summary.alarm(Alarm::BadRoster {
                object,
                problem: error.to_string(),
            });
            state.refused.insert(name.window);
            return Ok(None);
        }
    }
    match processor
        .buckets
        .create_record(&name.roster(role), &file)
        .await
    {
        // Another run has written its copy first, possibly of another version; that copy counts.
        Ok(_) | Err(BucketError::Conflict { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    drop(share);
    state.own.theirs.insert(name.window);
    copy(processor, name).await.map(Some)
}

/// Returns the first window of the peer and how far it has agreed, from its last copied roster;
/// `None` before its first roster.
pub(super) async fn reach(
    processor: &Processor,
    name: &WindowName,
    state: &AgreementState,
) -> Result<Option<ChainReach>, Error> {
    match state.own.theirs.last() {
        Some(last) => Ok(Some(
            copy(processor, &with_window(name, *last)).await?.chain,
        )),
        None => Ok(None),
    }
}

/// Reads the copy in the own bucket.
async fn copy(processor: &Processor, name: &WindowName) -> Result<Roster, Error> {
    match retry_read(|| read_copy(processor, name)).await {
        // A single bad read is not evidence of damage.
        Err(error) if error.is_damage() => retry_read(|| read_copy(processor, name)).await,
        other => other,
    }
}

async fn read_copy(processor: &Processor, name: &WindowName) -> Result<Roster, Error> {
    let role = processor.buckets.role.peer();
    let file = processor
        .buckets
        .need_record(&name.roster(role), roster_bytes(&processor.limits))
        .await?;
    let _share = memory(&processor.resources, &file).await;
    decode(processor, name, role, &processor.keys.peer, &file)
}

/// Reserves memory to read a roster: its entries are in memory as the file, as the signed record in
/// it, and decoded.
async fn memory(resources: &Resources, file: &[u8]) -> MemoryPermit {
    let bytes = (file.len() as u64).saturating_mul(4);
    resources.budget.take_memory(bytes, &no_progress()).await
}

/// Reads the roster in the mailbox; `None` if it does not exist.
async fn fetch(
    buckets: &Buckets,
    limits: &Limits,
    name: &WindowName,
) -> Result<Option<Bytes>, Error> {
    let object = name.roster(buckets.role.peer());
    let mailbox = &*buckets.peer_validation_in;
    match read_all(mailbox, &object, roster_bytes(limits)).await {
        Ok(file) => Ok(Some(file)),
        Err(BucketError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the empty roster for a window before the peer's first one; `None` as long as the peer
/// may still publish a roster of the window.
async fn roster_before_peer_start(
    processor: &Processor,
    name: &WindowName,
    state: &mut AgreementState,
    summary: &mut RosterSummary,
) -> Result<Option<Roster>, Error> {
    // Any later roster of the peer states where its rosters start.
    let later =
        |windows: &std::collections::BTreeSet<Window>| windows.range(name.window..).next().copied();
    let Some(window) = later(&state.own.theirs).or_else(|| later(&state.mailbox.theirs)) else {
        return Ok(None);
    };
    // This recursion ends after one step, because the roster of that window exists.
    let roster = Box::pin(theirs(
        processor,
        &with_window(name, window),
        state,
        summary,
    ))
    .await?;
    let roster = roster.filter(|roster| name.window.start() < roster.chain.start);
    Ok(roster.map(|roster| roster.empty_before_start(name.window)))
}

/// Checks that the mailbox still contains the copied version. A second version is stored as
/// evidence, next to the first.
pub(super) async fn check_unchanged(
    processor: &Processor,
    name: &WindowName,
    summary: &mut RosterSummary,
) -> Result<(), Error> {
    let role = processor.buckets.role.peer();
    let now = match fetch(&processor.buckets, &processor.limits, name).await {
        Ok(Some(now)) => now,
        // An object that is too large is not a roster.
        Ok(None) | Err(Error::Bucket(BucketError::TooLarge { .. })) => return Ok(()),
        Err(error) => return Err(error),
    };
    let _share = memory(&processor.resources, &now).await;
    let first = processor
        .buckets
        .need_record(&name.roster(role), roster_bytes(&processor.limits))
        .await?;
    if now == first || decode(processor, name, role, &processor.keys.peer, &now).is_err() {
        return Ok(());
    }
    let digest = Digest::sha256(&now).to_hex();
    let evidence = name.second_roster(role, &digest[..16]);
    processor.buckets.create_record(&evidence, &now).await?;
    summary.alarm(Alarm::SecondRoster {
        first: name.roster(role),
        second: evidence,
    });
    Ok(())
}
