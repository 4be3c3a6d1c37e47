//! Writes our rosters in the order of the windows, without gaps: each is recorded in the own
//! bucket, then copied into the peer's mailbox.

use super::agreement::Roster;
use super::agreement_state::{AgreementState, load, with_window};
use super::policy::RosterPolicy;
use super::store::document::{decode, encode, roster_bytes};
use super::store::listing::list_window_objects;
use super::summary::{Alarm, RosterSummary};
use super::{gather, peer};
use crate::buckets::Buckets;
use crate::error::Error;
use crate::limits::Limits;
use crate::processor::Processor;
use crate::progress::ProgressCallback;
use bytes::Bytes;
use std::sync::Arc;
use tallybox_model::roster::{ChainReach, WindowName};
use tallybox_model::time::Window;
use tallybox_transport::{BucketError, publish_bytes};

/// Writes every missing roster up to this window, and copies those without an agreed set into the
/// peer's mailbox.
pub(super) async fn publish_rosters(
    processor: &Arc<Processor>,
    policy: &RosterPolicy,
    name: &WindowName,
    summary: &mut RosterSummary,
    progress: &ProgressCallback,
) -> Result<AgreementState, Error> {
    let mut state = load(processor, policy, name).await?;
    let configured = policy.terms;
    let policy = &{ state.policy };
    if policy.terms != configured {
        summary.alarm(Alarm::TermsConfigured {
            configured,
            holds: policy.terms,
        });
    }
    peer::copy_rosters(processor, name, &mut state, summary).await?;
    state.theirs = peer::reach(processor, name, &state).await?;
    let last = state.own.ours.last().copied();
    let first = last.map_or(state.start, |last| last.end());
    for window in policy.windows(first, name.window) {
        write(
            processor,
            &with_window(name, window),
            &mut state,
            summary,
            progress,
        )
        .await?;
        summary.written.push(window);
    }
    for window in windows_to_publish(&processor.buckets, name, &state, summary).await? {
        publish(
            &processor.buckets,
            &processor.limits,
            &with_window(name, window),
            None,
        )
        .await?;
    }
    Ok(state)
}

/// Returns the windows of which the peer may lack our roster, except those that this run has
/// published. An earlier run may have been interrupted before it published, and a mailbox deletes
/// objects that an offline peer does not fetch in time.
async fn windows_to_publish(
    buckets: &Buckets,
    name: &WindowName,
    state: &AgreementState,
    summary: &RosterSummary,
) -> Result<Vec<Window>, Error> {
    // Windows that are not agreed on here will not be agreed on there for long.
    let until = state
        .theirs
        .map_or(state.start, |theirs| theirs.agreed_until);
    let since = until.clamp(state.start, state.next);
    let is_listed = state
        .own
        .ours
        .first()
        .is_some_and(|first| first.start() <= since);
    let ours = match is_listed {
        true => state.own.ours.clone(),
        // The listing so far does not reach back far enough.
        false => {
            list_window_objects(buckets, &*buckets.own, &name.aggregation, since)
                .await?
                .ours
        }
    };
    let lacks = |window: &Window| window.start() >= since && !summary.written.contains(window);
    Ok(ours.into_iter().filter(lacks).collect())
}

/// Records our roster of a window, and copies it into the mailbox.
async fn write(
    processor: &Arc<Processor>,
    name: &WindowName,
    state: &mut AgreementState,
    summary: &mut RosterSummary,
    progress: &ProgressCallback,
) -> Result<(), Error> {
    let gathering = gather::Gathering {
        processor,
        name,
        state,
        progress,
    };
    let verdicts = gathering.verdicts(summary).await?;
    let reach = ChainReach {
        start: state.start,
        agreed_until: state.next,
    };
    let file = Bytes::from(encode(
        processor,
        name,
        reach,
        &state.policy.terms,
        &verdicts.listed,
    )?);
    let object = name.roster(processor.buckets.role);
    let fixed = processor.buckets.create_record(&object, &file).await;
    let file = match fixed {
        Ok(_) => Some(file),
        // Another run has recorded the roster, with another key or other rules; the recorded one
        // counts.
        Err(BucketError::Conflict { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    publish(&processor.buckets, &processor.limits, name, file).await?;
    state.own.ours.insert(name.window);
    Ok(())
}

/// Copies our recorded roster into the peer's mailbox, byte for byte.
async fn publish(
    buckets: &Buckets,
    limits: &Limits,
    name: &WindowName,
    file: Option<Bytes>,
) -> Result<(), Error> {
    let object = name.roster(buckets.role);
    let file = match file {
        Some(file) => file,
        None => buckets.need_record(&object, roster_bytes(limits)).await?,
    };
    publish_bytes(&*buckets.peer_validation_out, &object, file, true).await?;
    Ok(())
}

/// Reads our recorded roster of a window.
pub(super) async fn ours(processor: &Processor, name: &WindowName) -> Result<Roster, Error> {
    let file = processor
        .buckets
        .need_record(
            &name.roster(processor.buckets.role),
            roster_bytes(&processor.limits),
        )
        .await?;
    decode(
        processor,
        name,
        processor.buckets.role,
        &processor.keys.own,
        &file,
    )
}
