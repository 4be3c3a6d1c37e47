//! The name of a task: the kind of work, and the batch or window to which it applies.

use std::fmt;

use super::QueueKind;
use crate::id::{AggregationId, BatchId};
use crate::path::BatchName;
use crate::roster::WindowName;
use crate::time::{BatchTime, Window};

/// The kind of work to do for a window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WindowKind {
    /// Write the roster.
    Roster,
    /// Determine the batches on which both rosters agree.
    Agree,
    /// Sum the window.
    Aggregate,
}

impl WindowKind {
    /// All kinds, in the order in which a window needs them.
    pub const ALL: [Self; 3] = [Self::Roster, Self::Agree, Self::Aggregate];

    /// Returns the name of the kind in object names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Roster => "roster",
            Self::Agree => "agree",
            Self::Aggregate => "aggregate",
        }
    }
}

/// The name of a task: the kind of work, and its batch or window. Markers contain names in the form
/// of [`fmt::Display`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TaskName {
    /// `intake-{agg}-{YYYY-MM-DD-HH-MM}-{batch}`
    Intake(BatchName),
    /// `{kind}-{agg}-{start YYYY-MM-DD-HH-MM}-{end YYYY-MM-DD-HH-MM}`
    Window(WindowKind, WindowName),
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intake(batch) => {
                let (aggregation, date) = (&batch.aggregation, hyphenated(batch.date));
                write!(f, "intake-{aggregation}-{date}-{}", batch.id)
            }
            Self::Window(kind, name) => {
                let (start, end) = (
                    hyphenated(name.window.start()),
                    hyphenated(name.window.end()),
                );
                write!(f, "{}-{}-{start}-{end}", kind.as_str(), name.aggregation)
            }
        }
    }
}

impl TaskName {
    /// Returns the kind of work: `intake`, `roster`, `agree` or `aggregate`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Intake(_) => "intake",
            Self::Window(kind, _) => kind.as_str(),
        }
    }

    /// Returns the queue that carries the task.
    #[must_use]
    pub fn queue(&self) -> QueueKind {
        match self {
            Self::Intake(_) => QueueKind::Intake,
            Self::Window(..) => QueueKind::Aggregate,
        }
    }

    /// Returns the aggregation of the task.
    #[must_use]
    pub fn aggregation(&self) -> &AggregationId {
        match self {
            Self::Intake(batch) => &batch.aggregation,
            Self::Window(_, name) => &name.aggregation,
        }
    }

    /// Returns the batch or window without the kind of work.
    #[must_use]
    pub fn object(&self) -> String {
        match self {
            Self::Intake(batch) => batch.to_string(),
            Self::Window(_, name) => name.to_string(),
        }
    }

    /// Returns the date of the batch, or the start of the window.
    #[must_use]
    pub fn start(&self) -> BatchTime {
        match self {
            Self::Intake(batch) => batch.date,
            Self::Window(_, name) => name.window.start(),
        }
    }

    /// Parses the form written by [`fmt::Display`]. Only the canonical spelling is accepted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('-')?;
        let task = match kind {
            "intake" => {
                // An aggregation may contain hyphens, so the parts of fixed length are split off
                // the end.
                let (rest, id) = cut(rest, 36)?;
                let (aggregation, date) = cut(rest, DATE_CHARS)?;
                Self::Intake(BatchName {
                    aggregation: aggregation.parse().ok()?,
                    date: date_of(date)?,
                    id: id.parse::<BatchId>().ok()?,
                })
            }
            name => {
                let kind = WindowKind::ALL
                    .into_iter()
                    .find(|kind| kind.as_str() == name)?;
                let (rest, end) = cut(rest, DATE_CHARS)?;
                let (aggregation, start) = cut(rest, DATE_CHARS)?;
                let name = WindowName {
                    aggregation: aggregation.parse().ok()?,
                    window: Window::new(date_of(start)?, date_of(end)?).ok()?,
                };
                Self::Window(kind, name)
            }
        };
        (task.to_string() == text).then_some(task)
    }
}

/// Length of a hyphenated date, in characters.
const DATE_CHARS: usize = 16;

/// Formats a time as `YYYY-MM-DD-HH-MM`.
pub(super) fn hyphenated(time: BatchTime) -> String {
    time.to_string().replace('/', "-")
}

fn date_of(text: &str) -> Option<BatchTime> {
    text.replace('-', "/").parse().ok()
}

/// Splits off the last `length` bytes; the first part ends before the hyphen that precedes them.
fn cut(text: &str, length: usize) -> Option<(&str, &str)> {
    let (rest, last) = text.split_at_checked(text.len().checked_sub(length)?)?;
    Some((rest.strip_suffix('-')?, last))
}
