//! The debug pages: what became of a report. There is nothing like it outside a sandbox.

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

use super::fate::{Fate, Stage};
use super::front::Unfriendly;
use super::lookup::Lookup;
use crate::always::window_of;
use crate::error::Error;

/// How many reports are listed.
const LISTED: usize = 100;

const PAGE: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Tallybox sandbox</title>
<style>body{font:16px/1.5 sans-serif;max-width:42em;margin:3em auto;padding:0 1em}input{font:inherit;width:24em}
code{background:#eee;padding:0 .2em}</style>
<h1>Tallybox sandbox</h1>
<p>Post reports to the ingestor, then ask here what became of each.
Time goes fast here, a second is ten minutes: a window lasts six seconds, and some seconds later it is summed.
<form action=/debug/reports><label>Report id
<input name=id required placeholder=3f0c8a52-9d1e-4b7a-8c66-0e4f5a6b7c8d></label> <button>Ask</button></form>
<ul><li><code>GET /debug/reports/{id}</code>: slab, window, batch, what each processor found, both processors' rosters,
the sum, what to do next
<li><a href=/debug/reports><code>GET /debug/reports</code></a>: the last 100 reports, the newest first
<li><code>GET /debug/windows/{metric}/{YYYYMMDDHHMM}</code>: both rosters of the window that starts then, as each
processor has them</ul>
<p>Stages: <code>spooled</code> (kept), <code>batched</code> (in both mailboxes), <code>checked</code> (both processors
looked), <code>summed</code> (with it or without it: see <code>sum</code>), <code>given-up</code> (its batch is never
summed), <code>dropped</code> (a replay).
<p>What the ingestor refuses is not kept: stage <code>refused</code>, with the problem that it answered.
<p><code>POST /debug/unfriendly/{kind}</code>: the next request meets it: <code>rate-limited</code>,
<code>unavailable</code>, <code>lost-answer</code>, <code>rotated-key</code>, <code>closed-metric</code>,
<code>expired-config</code>.
<p> <code>docs/clients.md</code> says how a report is
made.</html>";

/// Serves until it is aborted.
pub(super) async fn serve(listener: TcpListener, lookup: Lookup) {
    // It ends with the sandbox.
    let _ = axum::serve(listener, router(lookup)).await;
}

pub(super) fn router(lookup: Lookup) -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/debug/reports", get(list))
        .route("/debug/reports/{id}", get(one))
        .route("/debug/windows/{metric}/{start}", get(window))
        .route("/debug/unfriendly/{kind}", post(unfriendly))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "no such page", "GET / says what there is") })
        .with_state(lookup)
}

async fn one(State(lookup): State<Lookup>, Path(id): Path<String>) -> Response {
    answer(&lookup, &id).await
}

async fn window(State(lookup): State<Lookup>, Path((metric, start)): Path<(String, String)>) -> Response {
    let name = metric.parse::<AggregationId>().ok().and_then(|aggregation| {
        let window = window_of(BatchTime::from_compact(&start).ok()?)?;
        Some(WindowName { aggregation, window })
    });
    let Some(name) = name else {
        let next = "write it as PeriodicExposureNotification-v1/202601011200";
        return problem(StatusCode::NOT_FOUND, "this is no metric and window", next);
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
                "there is no such unfriendliness",
                &kinds.join(", "),
            )
        }
    }
}

async fn list(State(lookup): State<Lookup>, uri: Uri) -> Response {
    // What the form sends. An id has no character that a query spells otherwise.
    if let Some(id) = uri.query().and_then(|query| query.strip_prefix("id=")) {
        return answer(&lookup, id.trim_matches('+')).await;
    }
    match lookup.recent(LISTED).await {
        Ok(fates) => Json(json!({ "reports": fates.iter().map(line).collect::<Vec<_>>() })).into_response(),
        Err(error) => failed(&error),
    }
}

async fn answer(lookup: &Lookup, id: &str) -> Response {
    let id = id.trim().to_lowercase();
    if id.parse::<PacketId>().is_err() {
        let detail = "this is no report id: ids are UUIDs, such as 3f0c8a52-9d1e-4b7a-8c66-0e4f5a6b7c8d";
        return problem(StatusCode::NOT_FOUND, detail, "ask for the uuid of the report");
    }
    match lookup.fate(&id).await {
        Ok(fate) if fate.stage == Stage::Unknown => {
            let next = "compare the id with that in the answer to the post; GET /debug/reports lists what is kept";
            problem(StatusCode::NOT_FOUND, &fate.next, next)
        }
        Ok(fate) => Json(fate).into_response(),
        Err(error) => failed(&error),
    }
}

/// A report in the list.
fn line(fate: &Fate) -> Value {
    json!({
        "id": fate.id,
        "stage": fate.stage,
        "metric": fate.metric,
        "window": fate.window,
        "counted": fate.sum.counted,
    })
}

fn failed(error: &Error) -> Response {
    let next = "ask again: something may be half written or just swept";
    problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string(), next)
}

fn problem(status: StatusCode, detail: &str, next: &str) -> Response {
    let mut problem = ProblemKind::NotFound.problem(detail);
    problem.status = status.as_u16();
    next.clone_into(&mut problem.next);
    if status == StatusCode::NOT_FOUND {
        "not found".clone_into(&mut problem.title);
    } else {
        // A type of its own is not worth a name: it is a bug, or a full disk.
        "about:blank".clone_into(&mut problem.kind);
        "the books cannot be read".clone_into(&mut problem.title);
    }
    let content = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, content, serde_json::to_string(&problem).unwrap_or_default()).into_response()
}
