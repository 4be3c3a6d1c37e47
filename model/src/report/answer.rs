//! What a post is answered: one result for each report, in their order.

use super::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};

/// What became of one report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportResult {
    /// The report's id, as it was sent; empty if it could not be read.
    pub uuid: String,
    /// Which report of the body it is, from 0: there if it was rejected and the body held many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// What became of it.
    pub status: ReportStatus,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReportStatus {
    /// It is durable, and will be counted.
    Accepted,
    /// It was accepted before: the client may forget it, too.
    AlreadyAccepted,
    /// It is not kept; the problem says why.
    Rejected,
}

/// The answer to a post of many reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportsAnswer {
    /// How many are durable now, those accepted before included.
    pub accepted: u64,
    /// How many are not kept.
    pub rejected: u64,
    /// One result for each report, in their order.
    pub results: Vec<ReportResult>,
}

impl ReportResult {
    /// It is durable.
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

    /// It is not kept.
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
        let rejected = results.iter().filter(|result| result.problem.is_some()).count() as u64;
        Self {
            accepted: results.len() as u64 - rejected,
            rejected,
            results,
        }
    }
}
