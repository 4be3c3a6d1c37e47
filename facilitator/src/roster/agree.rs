//! Computes the agreed sets in the order of the windows, and records each in the own bucket.

use super::agreement::{Count, Draft, compare};
use super::agreement_state::{AgreementState, with_window};
use super::peer;
use super::report::{report, report_terms};
use super::store::counted::{read_counted, write_counted};
use super::store::retry::retry_read;
use super::store::verdict_files::VerdictFiles;
use super::summary::RosterSummary;
use super::validations::publish_validations_again;
use super::write::ours;
use crate::buckets::Buckets;
use crate::error::Error;
use crate::ids::IdSet;
use crate::processor::Processor;
use crate::sum::{DoneMark, mark_done};
use std::sync::Arc;
use tallybox_model::id::PacketId;
use tallybox_model::roster::{AgreedWindow, DatedBatch, WindowName};

/// The largest size of an agreed set, in bytes: larger than the set of two rosters with the most
/// entries.
pub(super) const AGREED_BYTES: u64 = 64 << 20;
/// Agrees on every window up to this one, in order, as long as both rosters exist.
pub(super) async fn agree(
    processor: &Arc<Processor>,
    name: &WindowName,
    state: &mut AgreementState,
    summary: &mut RosterSummary,
) -> Result<(), Error> {
    let policy = &{ state.policy };
    for window in policy.windows(state.next, name.window) {
        let name = with_window(name, window);
        let Some(theirs) = peer::theirs(processor, &name, state, summary).await? else {
            summary.waits_for = Some(window);
            return Ok(());
        };
        let ours = retry_read(|| ours(processor, &name)).await?;
        publish_validations_again(processor, &name, &ours, &theirs).await?;
        let pair = match processor.buckets.role.index() {
            0 => [&ours, &theirs],
            _ => [&theirs, &ours],
        };
        let draft = match compare(pair, &state.history, policy.is_last(window)) {
            Ok(draft) => draft,
            Err(source) => {
                let window = window.to_string();
                return Err(Error::Terms { window, source });
            }
        };
        report_terms(&name, pair, &draft, summary);
        let agreed = conclude(processor, &name, draft, state).await?;
        report(&name, &agreed, summary);
        state.history.push(&agreed);
        state.own.agreed.insert(window);
        if !agreed.batches.is_empty() {
            // Later windows of this run search these packets for repetitions, just as a later run
            // does.
            state.own.counted.insert(window);
        }
        summary.agreed.push(window);
        if agreed.batches.is_empty() {
            // An empty set needs no sum part, so the window is finished.
            mark_done(
                &processor.buckets,
                &name,
                &DoneMark::nothing("nothing-agreed"),
            )
            .await?;
        }
    }
    let recent = policy.windows(policy.back(name.window, 1), name.window);
    for window in recent
        .filter(|window| state.own.theirs.contains(window))
        .collect::<Vec<_>>()
    {
        peer::check_unchanged(processor, &with_window(name, window), summary).await?;
    }
    Ok(())
}

/// Counts the packets of a draft and records the result: first the packets that count, then the
/// agreed set, so that a recorded set always has its packets.
async fn conclude(
    processor: &Processor,
    name: &WindowName,
    draft: Draft,
    state: &AgreementState,
) -> Result<AgreedWindow, Error> {
    let count = if draft.batches.is_empty() {
        Count::new(IdSet::default())
    } else {
        count(processor, name, &draft, state).await?
    };
    let agreed = draft.conclude(&count);
    if !agreed.batches.is_empty() {
        write_counted(processor, name, count).await?;
    }
    let text = serde_json::to_vec(&agreed).map_err(|error| Error::Internal(error.to_string()))?;
    processor
        .buckets
        .create_record(&name.agreed(), &text)
        .await?;
    Ok(agreed)
}

/// Determines which packets of a draft's batches count.
async fn count(
    processor: &Processor,
    name: &WindowName,
    draft: &Draft,
    state: &AgreementState,
) -> Result<Count, Error> {
    let batches: Vec<DatedBatch> = draft.batches.iter().map(|(batch, _)| *batch).collect();
    let accepted = accepted(processor, name, &batches).await?;
    let mut wanted = IdSet::default();
    for id in accepted.iter().flatten() {
        wanted.insert(*id.as_bytes());
    }
    let mut before = IdSet::default();
    // Both processors have the same horizon, because a draft exists.
    let start = state
        .policy
        .back(name.window, draft.terms[0].replay_horizon);
    for window in state
        .own
        .counted
        .iter()
        .filter(|window| (start..name.window.start()).contains(&window.start()))
    {
        if !state.own.agreed.contains(window) {
            continue;
        }
        let earlier = with_window(name, *window);
        for id in retry_read(|| read_counted(processor, &earlier, &wanted)).await? {
            before.insert(id);
        }
    }
    let mut count = Count::new(before);
    for ids in &accepted {
        count.batch(ids);
    }
    Ok(count)
}

/// Returns the accepted packets of batches that our roster of this window lists, in the given
/// order.
async fn accepted(
    processor: &Processor,
    name: &WindowName,
    batches: &[DatedBatch],
) -> Result<Vec<Vec<PacketId>>, Error> {
    let mut files = VerdictFiles::open(processor, name).await?;
    let mut all = Vec::with_capacity(batches.len());
    for batch in batches {
        let (file, verdict) = files.find(*batch).await?;
        all.push(file.accepted(verdict).await?);
    }
    Ok(all)
}

/// Reads the agreed set of a window.
pub(super) async fn read_agreed(
    buckets: &Buckets,
    name: &WindowName,
) -> Result<AgreedWindow, Error> {
    let object = name.agreed();
    let Some(text) = buckets.read_record(&object, AGREED_BYTES).await? else {
        return Err(Error::NotAgreed {
            window: name.window.to_string(),
            problem: "one of the two rosters is missing".to_owned(),
        });
    };
    let agreed: AgreedWindow = serde_json::from_slice(&text).map_err(|error| {
        Error::Internal(format!("{object} in the own bucket is malformed: {error}"))
    })?;
    if agreed.format != AgreedWindow::FORMAT {
        return Err(Error::Internal(format!(
            "{object} has the unsupported format {}",
            agreed.format
        )));
    }
    Ok(agreed)
}
