//! The debug pages: what became of a report. There is nothing like it outside a sandbox.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tallybox_model::report::ProblemKind;
use tokio::net::TcpListener;

use super::fate::Lookup;
use crate::error::Error;

/// How many reports are listed.
const LISTED: usize = 100;

const PAGE: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Tallybox sandbox</title>
<style>body{font:16px/1.5 sans-serif;max-width:42em;margin:3em auto;padding:0 1em}input{font:inherit;width:24em}
code{background:#eee;padding:0 .2em}</style>
<h1>Tallybox sandbox</h1>
<p>Post reports to the ingestor, then ask here what became of each. A window lasts a minute and settles for five seconds.
<form onsubmit=\"location='/debug/reports/'+this.id_.value;return false\">
<label>Report id <input name=id_ placeholder=3f0c8a52-9d1e-4b7a-8c66-0e4f5a6b7c8d></label> <button>Ask</button></form>
<p><a href=/debug/reports>The last 100 reports</a> &middot; <code>GET /debug/reports/{id}</code>
<p>Stages: <code>spooled</code> (kept), <code>batched</code> (in both mailboxes), <code>checked</code> (both processors looked),
<code>summed</code>. <code>docs/clients.md</code> says how a report is made.</html>";

/// Serves until it is aborted.
pub(super) async fn serve(listener: TcpListener, lookup: Lookup) {
    let router = Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/debug/reports", get(list))
        .route("/debug/reports/{id}", get(one))
        .with_state(lookup);
    // It ends with the sandbox.
    let _ = axum::serve(listener, router).await;
}

async fn one(State(lookup): State<Lookup>, Path(id): Path<String>) -> Response {
    match lookup.fate(&id.to_lowercase()).await {
        Ok(fate) if fate.stage == "unknown" => problem(StatusCode::NOT_FOUND, fate.next),
        Ok(fate) => Json(fate).into_response(),
        Err(error) => failed(&error),
    }
}

async fn list(State(lookup): State<Lookup>) -> Response {
    match lookup.recent(LISTED).await {
        Ok(ids) => Json(json!({ "reports": ids })).into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> Response {
    problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let mut problem = ProblemKind::NotFound.problem(detail);
    problem.status = status.as_u16();
    let content = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, content, serde_json::to_string(&problem).unwrap_or_default()).into_response()
}
