//! The peer's rosters: the first valid one of each window is copied into the own bucket, and only the copy counts.
//!
//! A copy is signed by the peer and yet kept as a record: a peer that signs two rosters, and can write into our own bucket,
//! could replace the one that counts by the other.

use super::agreement::Roster;
use super::chain::{Chain, of};
use super::document::{decode, roster_bytes};
use super::patience::patiently;
use super::standing::{Standing, standing};
use super::summary::{Alarm, RosterSummary};
use crate::budget::Share;
use crate::error::Error;
use crate::intake::no_progress;
use crate::processor::Processor;
use bytes::Bytes;
use tallybox_model::digest::Digest;
use tallybox_model::id::AggregationId;
use tallybox_model::roster::{ChainReach, WindowName};
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::fault;
use tallybox_transport::{BucketError, read_all};

/// By how much the end of a window may be ahead of our clock when the peer's roster of it is copied, in milliseconds.
const AHEAD_MILLIS: i64 = 24 * 60 * 60_000;
/// How many of the peer's rosters a run copies beyond those that it needs.
const MOST_TAKEN_IN: usize = 1024;

/// What our mailbox holds of the peer's rosters.
pub(super) async fn mailbox(
    processor: &Processor,
    aggregation: &AggregationId,
    start: BatchTime,
) -> Result<Standing, Error> {
    standing(processor, &*processor.buckets.peer_validation_in, aggregation, start).await
}

/// Copies all of the peer's rosters that are in the mailbox, before we write ours: a peer that finds ours agrees on the window
/// and does not put its own there again, and what the mailbox holds may be near the end of its retention.
pub(super) async fn take_in(
    processor: &Processor,
    name: &WindowName,
    chain: &mut Chain,
    summary: &mut RosterSummary,
) -> Result<(), Error> {
    let policy = chain.policy;
    // A name in the mailbox need not be that of a window; and no honest clock is a day ahead of ours.
    let latest = processor.clock.millis() + AHEAD_MILLIS;
    let is_window = |window: &&Window| {
        window.start() >= chain.next && window.end().millis() <= latest && policy.check(**window).is_ok()
    };
    let open = chain.mailbox.theirs.difference(&chain.own.theirs);
    let open: Vec<Window> = open.filter(is_window).take(MOST_TAKEN_IN).copied().collect();
    for window in open {
        theirs(processor, &of(name, window), chain, summary).await?;
    }
    Ok(())
}

/// The peer's roster of a window; `None` if it is not there, or not valid, which is an alarm.
pub(super) async fn theirs(
    processor: &Processor,
    name: &WindowName,
    chain: &mut Chain,
    summary: &mut RosterSummary,
) -> Result<Option<Roster>, Error> {
    let reread = fault::is_on("peer-roster-reread") && chain.mailbox.theirs.contains(&name.window);
    if chain.own.theirs.contains(&name.window) && !reread {
        return copy(processor, name).await.map(Some);
    }
    if !chain.mailbox.theirs.contains(&name.window) {
        return before_their_chain(processor, name, chain, summary).await;
    }
    if chain.refused.contains(&name.window) {
        return Ok(None);
    }
    let (role, keys) = (processor.role.peer(), &processor.peer_keys);
    let mut file = match fetch(processor, name).await {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(None),
        Err(error @ Error::Bucket(BucketError::TooLarge { .. })) => {
            summary.alarm(Alarm::BadRoster {
                object: name.roster(role),
                problem: error.to_string(),
            });
            chain.refused.insert(name.window);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let share = memory(processor, &file).await;
    let mut decoded = decode(processor, name, role, keys, &file);
    if decoded.is_err() && !fault::is_on("believed-bad-read") {
        // One bad read is no bad roster. The first one need not stay in memory, and the same bytes need no second look.
        let first = Digest::of(&file);
        drop(std::mem::take(&mut file));
        let Some(again) = fetch(processor, name).await? else {
            return Ok(None);
        };
        file = again;
        if Digest::of(&file) != first {
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
            chain.refused.insert(name.window);
            return Ok(None);
        }
    }
    match processor.create_record(&name.roster(role), &file).await {
        // Another run was first, perhaps with another version: its copy counts.
        Ok(_) | Err(BucketError::Conflict { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    drop(share);
    chain.own.theirs.insert(name.window);
    if fault::is_on("peer-roster-reread") {
        let Some(file) = fetch(processor, name).await? else {
            return Ok(None);
        };
        return decode(processor, name, role, keys, &file).map(Some);
    }
    copy(processor, name).await.map(Some)
}

/// How far the peer's chain goes, as its last roster says; `None` before its first.
pub(super) async fn reach(
    processor: &Processor,
    name: &WindowName,
    chain: &Chain,
) -> Result<Option<ChainReach>, Error> {
    match chain.own.theirs.last() {
        Some(last) => Ok(Some(copy(processor, &of(name, *last)).await?.chain)),
        None => Ok(None),
    }
}

/// The copy in the own bucket.
async fn copy(processor: &Processor, name: &WindowName) -> Result<Roster, Error> {
    match patiently!(read_copy(processor, name)) {
        // One bad read is no damage.
        Err(error) if error.is_damage() => patiently!(read_copy(processor, name)),
        other => other,
    }
}

async fn read_copy(processor: &Processor, name: &WindowName) -> Result<Roster, Error> {
    let role = processor.role.peer();
    let file = processor
        .need_record(&name.roster(role), roster_bytes(processor))
        .await?;
    let _share = memory(processor, &file).await;
    decode(processor, name, role, &processor.peer_keys, &file)
}

/// Memory to read a roster in: its entries stand in it, in the file's own record, and decoded.
async fn memory(processor: &Processor, file: &[u8]) -> Share {
    let bytes = (file.len() as u64).saturating_mul(4);
    processor.budget.take_memory(bytes, &no_progress()).await
}

/// What stands in the mailbox; `None` if nothing does.
async fn fetch(processor: &Processor, name: &WindowName) -> Result<Option<Bytes>, Error> {
    let object = name.roster(processor.role.peer());
    let mailbox = &*processor.buckets.peer_validation_in;
    match read_all(mailbox, &object, roster_bytes(processor)).await {
        Ok(file) => Ok(Some(file)),
        Err(BucketError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The empty roster of a window before the peer's chain; `None` as long as a roster of it can still come.
async fn before_their_chain(
    processor: &Processor,
    name: &WindowName,
    chain: &mut Chain,
    summary: &mut RosterSummary,
) -> Result<Option<Roster>, Error> {
    let later = |windows: &std::collections::BTreeSet<Window>| windows.range(name.window..).next().copied();
    let Some(window) = later(&chain.own.theirs).or_else(|| later(&chain.mailbox.theirs)) else {
        return Ok(None);
    };
    // One step, since the roster of that window is there.
    let roster = Box::pin(theirs(processor, &of(name, window), chain, summary)).await?;
    let roster = roster.filter(|roster| name.window.start() < roster.chain.start);
    Ok(roster.map(|roster| roster.before_the_chain(name.window)))
}

/// Looks whether the mailbox still holds what was copied. A second version is kept as evidence, beside the first.
pub(super) async fn check_unchanged(
    processor: &Processor,
    name: &WindowName,
    summary: &mut RosterSummary,
) -> Result<(), Error> {
    let role = processor.role.peer();
    let now = match fetch(processor, name).await {
        Ok(Some(now)) => now,
        // What is too large is no second roster.
        Ok(None) | Err(Error::Bucket(BucketError::TooLarge { .. })) => return Ok(()),
        Err(error) => return Err(error),
    };
    let _share = memory(processor, &now).await;
    let first = processor
        .need_record(&name.roster(role), roster_bytes(processor))
        .await?;
    if now == first || decode(processor, name, role, &processor.peer_keys, &now).is_err() {
        return Ok(());
    }
    let digest = Digest::of(&now).to_hex();
    let evidence = name.second_roster(role, &digest[..16]);
    processor.create_record(&evidence, &now).await?;
    summary.alarm(Alarm::SecondRoster {
        first: name.roster(role),
        second: evidence,
    });
    Ok(())
}
