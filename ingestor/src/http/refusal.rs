//! Conversion of problems to HTTP answers.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rand::RngExt as _;
use tallybox_model::report::{Problem, ProblemKind};

/// The media type of problem details (RFC 9457).
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// A rejected request, with the problem that answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: ProblemKind,
    detail: String,
}

impl Refusal {
    pub(super) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { kind, detail }
    }

    /// Returns the answer to a request for which the memory budget has no bytes left.
    pub(super) fn overloaded() -> Self {
        Self::new(
            ProblemKind::Overloaded,
            "the memory for requests in progress is in use; send the request again later",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        answer(&self.kind.problem(self.detail))
    }
}

/// Returns a problem as the answer to a whole request.
pub(super) fn answer(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
    if let Some(kind) = problem.known() {
        response.extensions_mut().insert(kind);
        if let Some(seconds) = retry_after(kind) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
    }
    response
}

/// Returns the Retry-After header for problems that a retry can solve. The value is random so that
/// clients do not return at the same time.
pub(super) fn retry_after(kind: ProblemKind) -> Option<HeaderValue> {
    let seconds = match kind {
        ProblemKind::RateLimited => 10..=60,
        ProblemKind::Overloaded => 1..=5,
        ProblemKind::Unavailable | ProblemKind::SlowBody => 2..=10,
        _ => return None,
    };
    Some(HeaderValue::from(
        rand::rng().random_range::<u32, _>(seconds),
    ))
}
