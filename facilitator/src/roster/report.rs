//! Reports the result of a window: alarms about batches and terms.

use super::agreement::{Draft, Roster};
use super::summary::{Alarm, RosterSummary};
use tallybox_model::roster::{AgreedWindow, WindowName};

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

/// Reports the batches that a window closes or lists under several dates.
pub(super) fn report(name: &WindowName, agreed: &AgreedWindow, summary: &mut RosterSummary) {
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
