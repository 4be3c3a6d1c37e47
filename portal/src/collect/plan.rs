//! What has to be done for a window. A pure function of the listings and the rows.

use tallybox_model::role::Role;

use super::listing::Listed;
use crate::store::{SumState, WindowRow};

/// What has to be done for a window.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Work {
    /// Nothing.
    Nothing,
    /// Only this processor has published its sum part. `row` is the row that says so, if there is
    /// one.
    OneSide {
        writer: Role,
        row: Option<WindowRow>,
    },
    /// Both have published, and no sum is known.
    Pair {
        /// Whether the window has a row that says that the parts cannot be added.
        is_refused: bool,
    },
    /// A sum is known, and the sum parts may have changed since.
    Compare(WindowRow),
    /// The window was already collected from another source.
    OtherSource(WindowRow),
}

/// What is known about a window.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The objects in the mailboxes.
    pub(super) listed: Listed,
    /// The row of the latest version.
    pub(super) row: Option<WindowRow>,
    /// Whether the evidence of that version has the size that the listed objects give.
    pub(super) same_size: bool,
    /// Whether a finding is open.
    pub(super) has_findings: bool,
}

/// Decides what has to be done for a window of a source.
pub(super) fn plan(known: Known, source: &str, recheck: bool) -> Work {
    let published = Role::ALL.map(|writer| known.listed.is_published(writer));
    let is_summed = known
        .row
        .as_ref()
        .is_some_and(|row| matches!(row.state, SumState::Summed | SumState::BelowMinimum));
    match (published, known.row) {
        ([false, false], _) => Work::Nothing,
        // A sum part may be removed from its mailbox after it was collected.
        ([true, false] | [false, true], Some(_)) if is_summed => Work::Nothing,
        ([true, true], Some(row)) if is_summed => {
            if !row.evidence.starts_with(&format!("{source}/")) {
                Work::OtherSource(row)
            } else if recheck || known.has_findings || !known.same_size {
                Work::Compare(row)
            } else {
                Work::Nothing
            }
        }
        ([true, true], row) => Work::Pair {
            is_refused: row.is_some_and(|row| row.state == SumState::Refused),
        },
        // The finding of a refused pair stays until both parts are there again.
        (_, Some(row)) if row.state == SumState::Refused => Work::Nothing,
        ([first, _], row) => Work::OneSide {
            writer: if first { Role::First } else { Role::Second },
            row,
        },
    }
}
