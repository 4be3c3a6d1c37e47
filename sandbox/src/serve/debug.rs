//! HTTP pages that show the status of a report. Only a sandbox can offer them: they use the secrets
//! of all roles.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::ValueEnum as _;
use serde_json::{Value, json};
use tallybox_model::id::{AggregationId, PacketId};
use tallybox_model::report::ProblemKind;
use tallybox_model::roster::WindowName;
use tallybox_model::time::BatchTime;
use tokio::net::TcpListener;

use super::front::Unfriendly;
use super::lookup::Lookup;
use super::status::{ReportStage, ReportTrace};
use crate::always::window_of;
use crate::error::Error;

/// Number of reports in the list.
const MAX_LISTED_REPORTS: usize = 100;

/// The start page.
const PAGE: &str = include_str!("debug.html");

/// Serves until the task is aborted.
pub(super) async fn serve(listener: TcpListener, lookup: Lookup) {
    // An error of the server is ignored: the task ends with the sandbox.
    let _ = axum::serve(listener, router(lookup)).await;
}

pub(super) fn router(lookup: Lookup) -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/debug/reports", get(list))
        .route("/debug/reports/{id}", get(report_status))
        .route("/debug/windows/{metric}/{start}", get(window))
        .route("/debug/unfriendly/{kind}", post(unfriendly))
        .fallback(|| async {
            problem(
                StatusCode::NOT_FOUND,
                "no such page",
                "GET / lists the pages",
            )
        })
        .with_state(lookup)
}

async fn report_status(State(lookup): State<Lookup>, Path(id): Path<String>) -> Response {
    answer(&lookup, &id).await
}

async fn window(
    State(lookup): State<Lookup>,
    Path((metric, start)): Path<(String, String)>,
) -> Response {
    let name = metric
        .parse::<AggregationId>()
        .ok()
        .and_then(|aggregation| {
            let window = window_of(BatchTime::from_compact(&start).ok()?)?;
            Some(WindowName {
                aggregation,
                window,
            })
        });
    let Some(name) = name else {
        let next = "use the form PeriodicExposureNotification-v1/202601011200";
        return problem(
            StatusCode::NOT_FOUND,
            "invalid metric or window start",
            next,
        );
    };
    match lookup.window(&name).await {
        Ok([first, second]) => Json(json!({ "first": first, "second": second })).into_response(),
        Err(error) => failed(&error),
    }
}

async fn unfriendly(State(lookup): State<Lookup>, Path(kind): Path<String>) -> Response {
    match Unfriendly::from_str(&kind, true) {
        Ok(kind) => {
            lookup.front.ask_for(kind);
            Json(json!({ "next": kind })).into_response()
        }
        Err(_) => {
            let kinds: Vec<String> = Unfriendly::value_variants()
                .iter()
                .filter_map(|kind| Some(kind.to_possible_value()?.get_name().to_owned()))
                .collect();
            problem(
                StatusCode::NOT_FOUND,
                "unknown kind of unfriendly response",
                &kinds.join(", "),
            )
        }
    }
}

async fn list(State(lookup): State<Lookup>, uri: Uri) -> Response {
    // Query of the form on the start page. Ids contain no characters that need percent-encoding.
    if let Some(id) = uri.query().and_then(|query| query.strip_prefix("id=")) {
        return answer(&lookup, id.trim_matches('+')).await;
    }
    match lookup.recent(MAX_LISTED_REPORTS).await {
        Ok(traces) => {
            Json(json!({ "reports": traces.iter().map(line).collect::<Vec<_>>() })).into_response()
        }
        Err(error) => failed(&error),
    }
}

async fn answer(lookup: &Lookup, id: &str) -> Response {
    let id = id.trim().to_lowercase();
    if id.parse::<PacketId>().is_err() {
        let detail =
            "invalid report id: ids are UUIDs, such as 3f0c8a52-9d1e-4b7a-8c66-0e4f5a6b7c8d";
        return problem(StatusCode::NOT_FOUND, detail, "use the uuid of the report");
    }
    match lookup.trace(&id).await {
        Ok(trace) if trace.stage == ReportStage::Unknown => {
            let next = "compare the id with the answer to the post; GET /debug/reports lists stored reports";
            problem(StatusCode::NOT_FOUND, &trace.next, next)
        }
        Ok(trace) => Json(trace).into_response(),
        Err(error) => failed(&error),
    }
}

/// Returns the list entry of a report.
fn line(trace: &ReportTrace) -> Value {
    json!({
        "id": trace.id,
        "stage": trace.stage,
        "metric": trace.metric,
        "window": trace.window,
        "counted": trace.sum.counted,
    })
}

fn failed(error: &Error) -> Response {
    let next = "retry: an object may be incomplete or may just have been deleted";
    problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string(), next)
}

fn problem(status: StatusCode, detail: &str, next: &str) -> Response {
    let mut problem = ProblemKind::NotFound.problem(detail);
    problem.status = status.as_u16();
    next.clone_into(&mut problem.next);
    if status == StatusCode::NOT_FOUND {
        "not found".clone_into(&mut problem.title);
    } else {
        // No separate problem type: the cause is a bug or a full disk.
        "about:blank".clone_into(&mut problem.kind);
        "stored state cannot be read".clone_into(&mut problem.title);
    }
    let content = [(header::CONTENT_TYPE, "application/problem+json")];
    (
        status,
        content,
        serde_json::to_string(&problem).unwrap_or_default(),
    )
        .into_response()
}
