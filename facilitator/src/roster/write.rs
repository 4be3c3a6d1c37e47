//! Our rosters: written in the order of the windows, none skipped; fixed in the own bucket, then put into the mailbox.

use super::agreement::{History, Roster, memory};
use super::chain::{Standing, find_start, fix_start, from, standing, windows};
use super::document::{decode, encode};
use super::patience::patiently;
use super::policy::RosterPolicy;
use super::settle::read_agreed;
use super::summary::RosterSummary;
use super::{gather, peer};
use crate::error::Error;
use crate::intake::Progress;
use crate::processor::Processor;
use bytes::Bytes;
use futures::TryStreamExt as _;
use std::sync::Arc;
use tallybox_model::path::{BatchName, window_range};
use tallybox_model::roster::{ChainReach, WindowName};
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::fault;
use tallybox_transport::{BucketError, ListRange, publish_bytes, read_all};

/// An aggregation's rosters as they stand, and what is known of its windows.
pub(super) struct Chain {
    /// The first window of which we write a roster.
    pub(super) start: BatchTime,
    /// Start of the first window that is not agreed on.
    pub(super) next: BatchTime,
    /// What is in the own bucket, as far back as it matters.
    pub(super) own: Standing,
    /// What is in our mailbox.
    pub(super) mailbox: Standing,
    /// What the windows before are agreed on.
    pub(super) history: History,
}

/// Writes every roster up to this window that is not there yet, and puts those that are not agreed on into the mailbox.
pub(super) async fn rosters(
    processor: &Arc<Processor>,
    policy: &RosterPolicy,
    name: &WindowName,
    summary: &mut RosterSummary,
    progress: &Progress,
) -> Result<Chain, Error> {
    let mut chain = load(processor, policy, name).await?;
    peer::take_in(processor, name, &mut chain, summary).await?;
    let last = chain.own.ours.last().copied();
    let first = last.map_or(chain.start, |last| last.end());
    for window in windows(policy, first, name.window) {
        write(processor, policy, &of(name, window), &mut chain, progress).await?;
        summary.written.push(window);
    }
    if fault::is_on("twice-is-new") && !chain.own.agreed.contains(&name.window) {
        processor.buckets.own.delete(&name.verdicts()).await?;
        processor.buckets.own.delete(&name.roster(processor.role)).await?;
        processor
            .buckets
            .peer_validation_out
            .delete(&name.roster(processor.role))
            .await?;
        write(processor, policy, name, &mut chain, progress).await?;
    }
    for window in lacking(processor, name, &chain, summary).await? {
        publish(processor, &of(name, window), None).await?;
    }
    Ok(chain)
}

/// The windows of which the peer may lack our roster, less those that this run has put there: a run may have died before it
/// did so, and a mailbox deletes what a peer that is down does not fetch.
async fn lacking(
    processor: &Processor,
    name: &WindowName,
    chain: &Chain,
    summary: &RosterSummary,
) -> Result<Vec<Window>, Error> {
    let since = peer::may_lack(processor, name, chain).await?;
    let is_listed = chain.own.ours.first().is_some_and(|first| first.start() <= since);
    let ours = match is_listed {
        true => chain.own.ours.clone(),
        // Further back than anybody looks otherwise.
        false => {
            standing(processor, &*processor.buckets.own, &name.aggregation, since)
                .await?
                .ours
        }
    };
    let lacks = |window: &Window| window.start() >= since && !summary.written.contains(window);
    Ok(ours.into_iter().filter(lacks).collect())
}

/// The same aggregation's other window.
pub(super) fn of(name: &WindowName, window: Window) -> WindowName {
    WindowName {
        aggregation: name.aggregation.clone(),
        window,
    }
}

async fn load(processor: &Processor, policy: &RosterPolicy, name: &WindowName) -> Result<Chain, Error> {
    let aggregation = &name.aggregation;
    let look = async |from| patiently!(standing(processor, &*processor.buckets.own, aggregation, from));
    let recent = policy.back(name.window, policy.horizon());
    let mut own = look(recent).await?;
    let mut mailbox = None;
    let start = match patiently!(find_start(processor, aggregation))? {
        Some(start) => start,
        None => {
            let theirs = peer::mailbox(processor, aggregation, recent).await?;
            let first = first(processor, policy, name, &theirs).await?;
            mailbox = Some(theirs);
            fix_start(processor, aggregation, first).await?
        }
    };
    if start < recent && (own.ours.is_empty() || own.agreed.is_empty()) {
        // Nothing for as long as the horizon: the chain goes on where it ended, however long ago.
        own = look(start).await?;
    }
    let next = first_open(policy, &own, start);
    let needed = back_from(policy, next, policy.horizon()).max(start);
    if needed < recent {
        own = look(needed).await?;
    }
    own.agreed.retain(|window| window.start() < next);
    let mailbox = match mailbox {
        Some(mailbox) => mailbox,
        None => peer::mailbox(processor, aggregation, next).await?,
    };
    let remembered = back_from(policy, next, memory(policy.terms.maximum_age));
    let mut history = History::default();
    let before = policy
        .window_of(needed)
        .into_iter()
        .flat_map(|first| from(policy, first));
    // All of them are agreed on, whether the listing has seen them or not.
    for window in before.take_while(|window| window.start() < next) {
        if window.start() < remembered && own.agreed.contains(&window) {
            continue;
        }
        let agreed = patiently!(read_agreed(processor, &of(name, window)))?;
        if window.start() >= remembered {
            history.push(&agreed);
        }
        own.agreed.insert(window);
        if !agreed.batches.is_empty() {
            own.counted.insert(window);
        }
    }
    Ok(Chain {
        start,
        next,
        own,
        mailbox,
        history,
    })
}

/// The start of the window so many windows before the one that starts then.
fn back_from(policy: &RosterPolicy, start: BatchTime, windows: u32) -> BatchTime {
    let window = policy.window_of(start);
    window.map_or(start, |window| policy.back(window, windows))
}

/// Start of the first window that is not agreed on. They are agreed on in order; but a listing is made while another worker
/// agrees, and a directory may show a later window's set and not the one before. What is behind a gap is computed again: it
/// comes out the same.
fn first_open(policy: &RosterPolicy, own: &Standing, start: BatchTime) -> BatchTime {
    let listed = own.ours.first().into_iter().chain(own.agreed.first()).min();
    let Some(first) = listed else { return start };
    let open = from(policy, *first).find(|window| !own.agreed.contains(window));
    open.map_or(start, |window| window.start().max(start))
}

/// The first window that has a batch, or a roster of the peer's; at the latest the one that is asked for.
async fn first(
    processor: &Processor,
    policy: &RosterPolicy,
    name: &WindowName,
    mailbox: &Standing,
) -> Result<BatchTime, Error> {
    let mut first = name.window;
    if let Some(theirs) = mailbox.theirs.first() {
        first = first.min(*theirs);
    }
    // However long nobody knew whether there are rosters: a batch that waited for too long is told of, too.
    let origin = policy.terms.origin.min(name.window.start());
    let range = Window::new(origin, name.window.end()).map_err(|error| Error::Internal(error.to_string()))?;
    let (start, end) = window_range(&name.aggregation, &range);
    let range = ListRange {
        start_at: Some(start),
        end_before: Some(end),
    };
    // The mailbox may have deleted by now what we have taken in.
    let (ingestion, own) = (&processor.buckets.ingestion, &processor.buckets.own);
    for (bucket, parse) in [
        (
            ingestion,
            BatchName::from_ingestion_signature as fn(&str) -> Option<BatchName>,
        ),
        (own, BatchName::from_prepared),
    ] {
        let mut entries = bucket.list(name.aggregation.as_str(), range.clone()).await?;
        while let Some(entry) = entries.try_next().await? {
            if let Some(batch) = parse(&entry.key) {
                first = policy.window_of(batch.date).map_or(first, |window| first.min(window));
                break;
            }
        }
    }
    Ok(first.start())
}

/// Fixes our roster of a window, and puts it into the mailbox.
async fn write(
    processor: &Arc<Processor>,
    policy: &RosterPolicy,
    name: &WindowName,
    chain: &mut Chain,
    progress: &Progress,
) -> Result<(), Error> {
    if fault::is_on("overwrite") {
        processor.buckets.own.delete(&name.verdicts()).await?;
    }
    let verdicts = gather::verdicts(processor, policy, name, &chain.history, progress).await?;
    let reach = ChainReach {
        start: chain.start,
        agreed_until: chain.next,
    };
    let file = Bytes::from(encode(processor, name, reach, &policy.terms, &verdicts.listed)?);
    let object = name.roster(processor.role);
    if fault::is_on("overwrite") {
        processor.buckets.own.delete(&object).await?;
        processor.buckets.peer_validation_out.delete(&object).await?;
    }
    if fault::is_on("skipped-empty-roster") && verdicts.listed.is_empty() {
        chain.own.ours.insert(name.window);
        return Ok(());
    }
    let fixed = publish_bytes(&*processor.buckets.own, &object, file.clone(), false).await;
    let file = match fixed {
        Ok(_) => Some(file),
        // Another run has fixed it, with another key or other rules; what is fixed counts.
        Err(BucketError::Conflict { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    publish(processor, name, file).await?;
    chain.own.ours.insert(name.window);
    Ok(())
}

/// Puts our roster into the peer's mailbox, exactly as it is fixed.
async fn publish(processor: &Processor, name: &WindowName, file: Option<Bytes>) -> Result<(), Error> {
    let object = name.roster(processor.role);
    let file = match file {
        Some(file) => file,
        None => read_all(&*processor.buckets.own, &object, processor.limits.object_bytes).await?,
    };
    publish_bytes(&*processor.buckets.peer_validation_out, &object, file, true).await?;
    Ok(())
}

/// Our roster of a window, as it is fixed.
pub(super) async fn ours(processor: &Processor, name: &WindowName) -> Result<Roster, Error> {
    let object = name.roster(processor.role);
    let file = read_all(&*processor.buckets.own, &object, processor.limits.object_bytes).await?;
    decode(processor, name, processor.role, &processor.own_keys, &file)
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use tallybox_model::roster::RosterTerms;

    fn policy() -> RosterPolicy {
        RosterPolicy {
            terms: RosterTerms {
                origin: "2026/01/31/00/00".parse().expect("a time"),
                period_minutes: 60,
                replay_horizon: 10,
                minimum: 1,
                maximum_age: 3,
            },
            grace_minutes: 0,
            until: None,
        }
    }

    /// The windows of these hours.
    fn hours(hours: &[i64]) -> std::collections::BTreeSet<Window> {
        let at = |hour: &i64| policy().terms.origin.plus_minutes(60 * hour).expect("a time");
        hours.iter().filter_map(|hour| policy().window_of(at(hour))).collect()
    }

    /// A listing of a directory while another worker agrees on several windows in a row.
    #[test]
    fn what_is_behind_a_gap_in_a_listing_is_not_agreed_on() {
        for (ours, agreed, open) in [
            (vec![], vec![], 2),
            (vec![2, 3], vec![], 2),
            (vec![2, 3, 4, 5], vec![2, 3], 4),
            (vec![2, 3, 4, 5], vec![2, 4], 3),
            (vec![2, 3, 4, 5], vec![3, 4], 2),
            (vec![3], vec![2, 3], 4),
        ] {
            let own = Standing {
                ours: hours(&ours),
                agreed: hours(&agreed),
                ..Standing::default()
            };
            let start = policy().terms.origin.plus_minutes(120).expect("a time");
            let found = first_open(&policy(), &own, start);
            let expected = hours(&[open]).first().map(Window::start);
            assert_eq!(Some(found), expected, "{ours:?} {agreed:?}");
        }
    }
}
