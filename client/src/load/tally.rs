//! Counts of responses.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use tallybox_model::report::{ProblemKind, ReportStatus};

/// The longest latency that is recorded, in microseconds: an hour.
const MAX_MICROS: u64 = 3_600_000_000;

/// The counts of a run.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) posts: u64,
    pub(super) reports: u64,
    pub(super) bytes: u64,
    pub(super) accepted: u64,
    pub(super) already: u64,
    pub(super) rejected: BTreeMap<String, u64>,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) failures: BTreeMap<&'static str, u64>,
    pub(super) unanswered: u64,
    pub(super) surprises: BTreeMap<String, u64>,
    /// Latency from the sending of a post.
    pub(super) latency: Histogram<u64>,
    /// Latency from the scheduled start of a post.
    pub(super) since_due: Histogram<u64>,
}

/// The expected result of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Accepted,
    AlreadyAccepted,
    Rejected(ProblemKind),
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            posts: 0,
            reports: 0,
            bytes: 0,
            accepted: 0,
            already: 0,
            rejected: BTreeMap::new(),
            statuses: BTreeMap::new(),
            failures: BTreeMap::new(),
            unanswered: 0,
            surprises: BTreeMap::new(),
            latency: histogram(),
            since_due: histogram(),
        }
    }
}

impl Tally {
    /// Counts a response.
    pub(super) fn answered(&mut self, status: u16, latency: Duration, since_due: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(MAX_MICROS);
        self.latency.saturating_record(micros(latency));
        self.since_due.saturating_record(micros(since_due));
    }

    /// Counts a failed post with its reports.
    pub(super) fn failed(&mut self, what: &'static str, reports: u64) {
        *self.failures.entry(what).or_default() += 1;
        self.unanswered += reports;
    }

    /// Counts the result of a report.
    pub(super) fn report(&mut self, expected: Expected, status: ReportStatus, problem: &str) {
        let (as_expected, answer) = match status {
            ReportStatus::Accepted => {
                self.accepted += 1;
                (expected == Expected::Accepted, "accepted")
            }
            ReportStatus::AlreadyAccepted => {
                self.already += 1;
                (expected == Expected::AlreadyAccepted, "alreadyAccepted")
            }
            ReportStatus::Rejected => {
                let kind = ProblemKind::named(problem);
                let name = kind.map_or("unknown", ProblemKind::name);
                *self.rejected.entry(name.to_owned()).or_default() += 1;
                // An overloaded server may reject any report, so this is never unexpected.
                let shed = kind.is_some_and(is_shed);
                (shed || kind.map(Expected::Rejected) == Some(expected), name)
            }
        };
        if !as_expected {
            let wanted = match expected {
                Expected::Accepted => "accepted",
                Expected::AlreadyAccepted => "alreadyAccepted",
                Expected::Rejected(kind) => kind.name(),
            };
            *self
                .surprises
                .entry(format!("{answer} for {wanted}"))
                .or_default() += 1;
        }
    }
}

/// Returns whether a problem means that the server is overloaded, and not that the report is wrong.
fn is_shed(kind: ProblemKind) -> bool {
    use ProblemKind as Kind;
    matches!(
        kind,
        Kind::RateLimited | Kind::Overloaded | Kind::Unavailable | Kind::SlowBody
    )
}

#[allow(
    clippy::expect_used,
    reason = "the bounds and the precision are constants in range"
)]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_MICROS, 3).expect("1 to an hour at three digits")
}
