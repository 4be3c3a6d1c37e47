//! The admission of the reports of a post, and its answer once they are durable.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tallybox_model::report::{Problem, ProblemKind, ReportResult, ReportStatus, ReportsAnswer};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, AdmissionControl, Table};
use crate::http::budget::{Budget, Hold};
use crate::http::decode::ParsedReport;
use crate::http::network::{Network, Networks};
use crate::http::refusal::{Refusal, answer, retry_after};
use crate::http::write_timeout;
use crate::spool::{AcceptedReport, Collector, WriteOutcome};

/// Most reports and bytes that are passed to the collector at once. They go into one slab together.
const CHUNK_REPORTS: usize = 256;
const CHUNK_BYTES: usize = 256 << 10;
/// Longest report id in an answer, in characters.
const QUOTED_ID_CHARS: usize = 64;

/// Budget and timeout for sending an answer.
pub(super) struct AnswerLimits {
    pub(super) budget: Budget,
    pub(super) network: Option<Network>,
    pub(super) cut: CancellationToken,
    pub(super) timeout: Duration,
}

/// The admission of a body's reports.
pub(super) struct PostAdmission<'a> {
    pub(super) networks: &'a Networks,
    pub(super) admission: &'a AdmissionControl,
    pub(super) collector: &'a Collector,
    pub(super) table: Arc<Table>,
    pub(super) network: Network,
    pub(super) chunk: Vec<(usize, AcceptedReport)>,
    pub(super) chunk_bytes: usize,
    pub(super) pending: Pending,
}

impl PostAdmission<'_> {
    pub(super) fn add_result(&mut self, report: ParsedReport) {
        let index = self.pending.results.len();
        let result = match report {
            ParsedReport::Malformed { id, detail } => {
                let counters = self.table.unknown();
                counters.received.inc();
                counters.reject(ProblemKind::Malformed);
                ReportResult::rejected(truncate_id(&id), ProblemKind::Malformed, detail)
            }
            ParsedReport::Report(upload) => {
                let id = truncate_id(&upload.id);
                // The first report was counted against the network's rate limit with the request.
                let allowed = || index == 0 || self.networks.try_acquire(self.network);
                match self.admission.check(&self.table, *upload, allowed) {
                    Admission::Duplicate => ReportResult::accepted(id, true),
                    Admission::Rejected(rejection) => {
                        ReportResult::rejected(id, rejection.kind, rejection.detail)
                    }
                    Admission::Accepted(accepted) => {
                        self.add_accepted(index, *accepted);
                        ReportResult::accepted(id, false)
                    }
                }
            }
        };
        self.pending.results.push(result);
    }

    fn add_accepted(&mut self, index: usize, accepted: AcceptedReport) {
        self.chunk_bytes +=
            accepted.upload.payload_first.len() + accepted.upload.payload_second.len();
        self.chunk.push((index, accepted));
        if self.chunk.len() >= CHUNK_REPORTS || self.chunk_bytes >= CHUNK_BYTES {
            self.enqueue_chunk();
        }
    }

    fn enqueue_chunk(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        self.chunk_bytes = 0;
        let (indices, reports) = std::mem::take(&mut self.chunk).into_iter().unzip();
        let hold = Arc::clone(&self.pending.hold);
        let wait = self.collector.enqueue(reports, hold);
        self.pending.waits.push((indices, wait));
    }

    pub(super) fn finish(mut self) -> Pending {
        self.enqueue_chunk();
        self.pending
    }
}

/// Admitted reports that wait to be durable.
pub(super) struct Pending {
    /// True if the body is a single JSON report, whose result determines the status of the answer.
    pub(super) single: bool,
    pub(super) results: Vec<ReportResult>,
    pub(super) waits: Vec<(Vec<usize>, oneshot::Receiver<WriteOutcome>)>,
    pub(super) hold: Arc<Hold>,
}

impl Pending {
    /// Returns the answer as soon as every report is durable or has failed.
    pub(super) async fn answer(mut self, limits: &AnswerLimits) -> Response {
        for (indices, wait) in std::mem::take(&mut self.waits) {
            if let Ok(WriteOutcome::Durable) = wait.await {
                continue;
            }
            for index in indices {
                let result = &mut self.results[index];
                let id = std::mem::take(&mut result.uuid);
                *result = ReportResult::rejected(
                    id,
                    ProblemKind::Unavailable,
                    "the report could not be made durable",
                );
            }
        }
        match self.single {
            true => self.single_answer(),
            false => self.list_answer(limits),
        }
    }

    fn single_answer(mut self) -> Response {
        match self.results.pop() {
            Some(ReportResult {
                problem: Some(problem),
                ..
            }) => answer(&problem),
            Some(result) => json(serde_json::to_vec(&result).unwrap_or_default().into()),
            None => {
                Refusal::new(ProblemKind::Malformed, "the body contains no report").into_response()
            }
        }
    }

    fn list_answer(self, limits: &AnswerLimits) -> Response {
        if let Some(refusal) = self.nothing_stored() {
            return refusal.into_response();
        }
        let kinds = self
            .results
            .iter()
            .filter_map(|result| result.problem.as_ref()?.known());
        let later = kinds.filter_map(retry_after).next();
        let answer: ReportsAnswer = self.results.into_iter().collect();
        let bytes = serde_json::to_vec(&answer).unwrap_or_default();
        // The memory of the reports is released before the memory of the answer is taken.
        drop((answer, self.hold));
        let hold = limits
            .budget
            .answer(bytes.len() as u64, limits.network, limits.cut.clone());
        let mut response = json(write_timeout::body_with_timeout(
            bytes.into(),
            hold,
            limits.timeout,
        ));
        if let Some(seconds) = later {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }

    /// Returns the answer to a post of which no report was stored because the spool cannot be
    /// written. The whole request fails then, since many clients and all proxies check only the
    /// status.
    fn nothing_stored(&self) -> Option<Refusal> {
        let stored = |result: &ReportResult| result.status != ReportStatus::Rejected;
        let unavailable = |result: &ReportResult| {
            let problem = result.problem.as_ref();
            problem.and_then(Problem::known) == Some(ProblemKind::Unavailable)
        };
        let nothing = !self.results.iter().any(stored) && self.results.iter().any(unavailable);
        nothing.then(|| {
            Refusal::new(
                ProblemKind::Unavailable,
                "no report of the body could be made durable",
            )
        })
    }
}

fn json(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn truncate_id(id: &str) -> String {
    id.chars().take(QUOTED_ID_CHARS).collect()
}
