//! Reports the result of a window: alarms about batches and terms, and the mark of a window without
//! a sum part.

use super::agreement::{Draft, Roster};
use super::store::RosterStore;
use super::summary::{Alarm, RosterSummary};
use crate::error::Error;
use tallybox_model::roster::{AgreedWindow, WindowName};
use tallybox_model::time::Window;

/// Reports a processor whose roster states other terms than those in force.
pub(super) fn report_terms(
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

/// Reports the agreed set of a window. An empty set needs no sum part, so its window is done.
pub(super) async fn report(
    store: &RosterStore<'_>,
    agreed: &AgreedWindow,
    summary: &mut RosterSummary,
) -> Result<(), Error> {
    let name = store.window(agreed.window);
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
    summary.agreed.push(agreed.window);
    if agreed.batches.is_empty() {
        store.mark_nothing_agreed(agreed.window).await?;
    }
    Ok(())
}

/// Reports a peer that has replaced a roster after we copied it. Both versions are stored, with
/// their signatures.
pub(super) async fn report_second_roster(
    store: &RosterStore<'_>,
    window: Window,
    summary: &mut RosterSummary,
) -> Result<(), Error> {
    if let Some(second) = store.record_second_roster(window).await? {
        let first = store.peer_object(window);
        summary.alarm(Alarm::SecondRoster { first, second });
    }
    Ok(())
}
