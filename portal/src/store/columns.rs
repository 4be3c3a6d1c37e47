//! The conversion of rows from and to the columns of the tables.

use sqlx::Row as _;
use sqlx::any::AnyRow;
use tallybox_model::id::Instance;
use tallybox_model::time::{BatchTime, TimeError, Window};

use super::rows::{FindingRow, SumState, WindowRow};
use super::{MetricSummary, failed};
use crate::error::Error;

/// The columns of a window, in the order of [`window`]; `s` is its series, `w` the window.
pub(super) const WINDOW: &str = "s.instance, s.aggregation, w.window_start, w.window_end, \
    w.version, w.state, w.reports, w.rejected, w.batches, w.epsilon, w.sums, w.evidence, w.added";

/// The columns of a finding, in the order of [`finding`].
pub(super) const FINDING: &str = "instance, aggregation, window_start, window_end, kind, message, \
    next_step, first_seen, resolved";

/// Decodes a window.
pub(super) fn window(row: &AnyRow) -> Result<WindowRow, Error> {
    let read = Columns(row);
    Ok(WindowRow {
        instance: read.parse(0)?,
        aggregation: read.parse(1)?,
        window: read.window(2)?,
        version: read.count(4)?.try_into().map_err(damaged)?,
        state: read.parse(5)?,
        reports: read.count(6)?,
        rejected: read.count(7)?,
        batches: read.count(8)?,
        epsilon: read.get(9)?,
        sums: sums(read.get(10)?)?,
        evidence: read.get(11)?,
        added: read.get(12)?,
    })
}

/// Decodes a finding.
pub(super) fn finding(row: &AnyRow) -> Result<FindingRow, Error> {
    let read = Columns(row);
    Ok(FindingRow {
        instance: read.parse(0)?,
        aggregation: read.parse(1)?,
        window: read.window(2)?,
        kind: read.get(4)?,
        message: read.get(5)?,
        next_step: read.get(6)?,
        first_seen: read.get(7)?,
        resolved: read.get(8)?,
    })
}

/// Decodes a metric: aggregation, windows, reports, first start, last end.
pub(super) fn metric(row: &AnyRow) -> Result<MetricSummary, Error> {
    let read = Columns(row);
    let start: Option<i64> = read.get(3)?;
    Ok(MetricSummary {
        aggregation: read.parse(0)?,
        windows: read.count(1)?,
        reports: read.count(2)?,
        range: start.map(|_| read.window(3)).transpose()?,
    })
}

/// Decodes an instance.
pub(super) fn instance(row: &AnyRow) -> Result<Instance, Error> {
    Columns(row).parse(0)
}

/// Formats sums for their column.
pub(super) fn sums_text(sums: &[u64]) -> String {
    let texts: Vec<String> = sums.iter().map(u64::to_string).collect();
    texts.join(",")
}

/// Converts a count for its column. All counts come from signed numbers.
pub(super) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn sums(text: &str) -> Result<Vec<u64>, Error> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let numbers = text
        .split(',')
        .map(|number| number.parse().map_err(damaged));
    numbers.collect()
}

/// A text or a number of a row that is not what the portal writes.
fn damaged(error: impl std::fmt::Display) -> Error {
    Error::Row(error.to_string())
}

/// Reads the columns of a row by their position.
struct Columns<'r>(&'r AnyRow);

impl<'r> Columns<'r> {
    fn get<T>(&self, column: usize) -> Result<T, Error>
    where
        T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>,
    {
        self.0.try_get(column).map_err(failed("read a row"))
    }

    fn count(&self, column: usize) -> Result<u64, Error> {
        u64::try_from(self.get::<i64>(column)?).map_err(damaged)
    }

    fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&self, at: usize) -> Result<T, Error> {
        self.get::<&str>(at)?.parse().map_err(damaged)
    }

    /// Reads the window whose start and end are in two adjacent columns.
    fn window(&self, column: usize) -> Result<Window, Error> {
        let time = |column| {
            let millis = self.get(column)?;
            BatchTime::from_millis(millis)
                .ok_or_else(|| damaged(TimeError::Format(format!("{millis} ms"))))
        };
        Window::new(time(column)?, time(column + 1)?).map_err(damaged)
    }
}

/// The words of the states in the database and in JSON.
const STATES: [(SumState, &str); 5] = [
    (SumState::Summed, "summed"),
    (SumState::OneSide, "one-side"),
    (SumState::Refused, "refused"),
    (SumState::BelowMinimum, "below-minimum"),
    (SumState::Superseded, "superseded"),
];

impl SumState {
    /// Returns the word of the state in the database and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let found = STATES.iter().find(|(state, _)| *state == self);
        found.map_or("", |(_, word)| word)
    }
}

/// The reason why a text is not a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the state of a window")]
pub struct StateError(String);

impl std::str::FromStr for SumState {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        let found = STATES.iter().find(|(_, word)| *word == text);
        found
            .map(|(state, _)| *state)
            .ok_or_else(|| StateError(text.to_owned()))
    }
}
