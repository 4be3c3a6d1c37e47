//! Computes the agreed sets in the order of the windows, and records each in the own bucket.

use super::agreement::{Count, Draft, Roster, compare};
use super::agreement_state::{AgreementState, with_window};
use super::peer;
use super::store::counted::{read_counted, write_counted};
use super::store::retry::retry_read;
use super::store::verdicts::Verdicts;
use super::summary::{Alarm, RosterSummary};
use super::write::ours;
use crate::buckets::Buckets;
use crate::error::Error;
use crate::ids::IdSet;
use crate::intake::intake;
use crate::processor::Processor;
use crate::progress::no_progress;
use crate::sum::{DoneMark, mark_done};
use std::collections::BTreeMap;
use std::sync::Arc;
use tallybox_model::id::PacketId;
use tallybox_model::path::BatchName;
use tallybox_model::roster::{AgreedWindow, DatedBatch, Listing, OpenReason, WindowName};
use tallybox_model::time::Window;

/// The largest size of an agreed set, in bytes: larger than the set of two rosters with the most
/// entries.
pub(super) const AGREED_BYTES: u64 = 64 << 20;
/// The most validation batches that are published again for a window.
const MOST_HEALED_BATCHES: usize = 1024;

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
        heal(processor, &name, &ours, &theirs).await?;
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

/// Publishes validation batches again that the peer lacks according to its roster. If an intake is
/// interrupted between the prepared batch and the publication, only we could sum the batch.
///
/// Batches of our own roster come first, because the peer determines the number of the others.
async fn heal(
    processor: &Arc<Processor>,
    name: &WindowName,
    ours: &Roster,
    theirs: &Roster,
) -> Result<(), Error> {
    let lacks = theirs
        .entries
        .iter()
        .filter(|(_, listing)| **listing == Listing::Open(OpenReason::NoValidation));
    let (ours_too, others): (Vec<&DatedBatch>, Vec<&DatedBatch>) = lacks
        .map(|(batch, _)| batch)
        .partition(|batch| ours.entries.contains_key(batch));
    for batch in ours_too.into_iter().chain(others).take(MOST_HEALED_BATCHES) {
        let batch = BatchName {
            aggregation: name.aggregation.clone(),
            date: batch.date,
            id: batch.id,
        };
        match intake(processor, &batch, no_progress()).await {
            Ok(_) => {}
            Err(error) if error.is_passing() || error.is_unverified() => return Err(error),
            // The problem of the batch is stated in our own roster.
            Err(error) => {
                tracing::debug!(batch_id = %batch.id, reason = error.reason(), "validation batch is not published again")
            }
        }
    }
    Ok(())
}

/// Reports a processor whose roster states other terms than those in force.
fn report_terms(
    name: &WindowName,
    rosters: [&Roster; 2],
    draft: &Draft,
    summary: &mut RosterSummary,
) {
    for (roster, holds) in rosters.into_iter().zip(draft.terms) {
        if roster.terms != holds {
            summary.alarm(Alarm::TermsChanged {
                window: name.to_string(),
                writer: roster.writer,
                stated: roster.terms,
                holds,
            });
        }
    }
}

fn report(name: &WindowName, agreed: &AgreedWindow, summary: &mut RosterSummary) {
    for several in &agreed.several_dates {
        summary.alarm(Alarm::SeveralDates {
            window: name.to_string(),
            listed: several.clone(),
        });
    }
    for batch in &agreed.excluded {
        summary.alarm(Alarm::Excluded {
            window: name.to_string(),
            batch: *batch,
        });
    }
    for expired in &agreed.expired {
        summary.alarm(Alarm::Expired {
            window: name.to_string(),
            batch: expired.batch,
            last_statuses: expired.last_statuses,
        });
    }
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
        let file = files.read(processor, *batch).await?;
        let verdict = file.verdict(*batch).ok_or_else(|| missing(*batch))?;
        all.push(file.accepted(verdict).await?);
    }
    Ok(all)
}

fn missing(batch: DatedBatch) -> Error {
    Error::Internal(format!(
        "batch {batch}: our roster lists the batch, but its verdict is missing"
    ))
}

/// The files of verdicts on which a window's roster depends, each opened once.
pub(super) struct VerdictFiles {
    name: WindowName,
    windows: BTreeMap<DatedBatch, Window>,
    open: BTreeMap<Window, Verdicts>,
}

impl VerdictFiles {
    pub(super) async fn open(processor: &Processor, name: &WindowName) -> Result<Self, Error> {
        use super::store::listed::Listed;
        let own = Verdicts::open(processor, name).await?;
        let own = own.ok_or_else(|| Error::Internal(format!("{} is missing", name.verdicts())))?;
        let window_of = |listed: &Listed| match listed {
            Listed::New(verdict) => Some((verdict.batch, name.window)),
            Listed::Relisted {
                batch, verdicts, ..
            } => Some((*batch, *verdicts)),
            Listed::Open { .. } => None,
        };
        Ok(Self {
            name: name.clone(),
            windows: own.listed.iter().filter_map(window_of).collect(),
            open: BTreeMap::from([(name.window, own)]),
        })
    }

    /// Returns the batches dated in this window of which the peer rejects every packet.
    pub(super) fn without_accepted_packet(&self) -> Vec<DatedBatch> {
        use super::store::listed::Listed;
        let own = self.open.get(&self.name.window);
        let listed = own.iter().flat_map(|own| &own.listed);
        listed
            .filter_map(|listed| match listed {
                Listed::Open { batch, reason } if *reason == OpenReason::NoAcceptedPacket => {
                    Some(*batch)
                }
                _ => None,
            })
            .filter(|batch| self.name.window.contains(batch.date))
            .collect()
    }

    /// Returns the file that contains the verdict of this batch.
    pub(super) async fn read(
        &mut self,
        processor: &Processor,
        batch: DatedBatch,
    ) -> Result<&Verdicts, Error> {
        let window = *self.windows.get(&batch).ok_or_else(|| missing(batch))?;
        if !self.open.contains_key(&window) {
            let file = Verdicts::open(processor, &with_window(&self.name, window)).await?;
            self.open
                .insert(window, file.ok_or_else(|| missing(batch))?);
        }
        self.open.get(&window).ok_or_else(|| missing(batch))
    }
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
