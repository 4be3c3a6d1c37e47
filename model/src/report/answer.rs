//! The answer to a POST request: one result for each report, in the order of the reports.

use super::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};

/// The result for one report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportResult {
    /// The report's id as it was sent; empty if it could not be read.
    pub uuid: String,
    /// The position of the report in the body, from 0. Present if the report was rejected and the
    /// body contained several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// The status of the report.
    pub status: ReportStatus,
    /// The reason of a rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// The status of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReportStatus {
    /// The report is durable and will be counted.
    Accepted,
    /// The report was accepted before. The client may delete it as well.
    AlreadyAccepted,
    /// The report is not stored; the problem states the reason.
    Rejected,
}

/// The answer to a POST request with several reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportsAnswer {
    /// The number of reports that are durable, including those accepted before.
    pub accepted: u64,
    /// The number of reports that are not stored.
    pub rejected: u64,
    /// One result for each report, in the order of the reports.
    pub results: Vec<ReportResult>,
}

impl ReportResult {
    /// Creates the result for a durable report; `before` is true if it was accepted earlier.
    #[must_use]
    pub fn accepted(uuid: String, before: bool) -> Self {
        let status = match before {
            false => ReportStatus::Accepted,
            true => ReportStatus::AlreadyAccepted,
        };
        Self {
            uuid,
            index: None,
            status,
            problem: None,
        }
    }

    /// Creates the result for a report that is not stored.
    #[must_use]
    pub fn rejected(uuid: String, kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            uuid,
            index: None,
            status: ReportStatus::Rejected,
            problem: Some(kind.problem(detail)),
        }
    }
}

impl FromIterator<ReportResult> for ReportsAnswer {
    fn from_iter<I: IntoIterator<Item = ReportResult>>(results: I) -> Self {
        let mut results: Vec<_> = results.into_iter().collect();
        for (index, result) in (0..).zip(&mut results) {
            result.index = result.problem.is_some().then_some(index);
        }
        let rejected = results
            .iter()
            .filter(|result| result.problem.is_some())
            .count() as u64;
        Self {
            accepted: results.len() as u64 - rejected,
            rejected,
            results,
        }
    }
}
