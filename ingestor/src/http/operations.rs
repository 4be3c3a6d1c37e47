//! Health and metrics, for operators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;

use super::App;

/// Whether requests should be sent here, and why not.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<String>,
    /// What does not keep requests away, but wants to be looked at.
    warnings: Vec<String>,
}

pub(super) async fn health() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(State(app): State<Arc<App>>) -> impl IntoResponse {
    let (mut reasons, mut warnings) = (Vec::new(), Vec::new());
    if app.is_draining() {
        reasons.push("draining".to_owned());
    }
    for (locality, place) in &app.places {
        let state = place.collector.state();
        if state.failing {
            reasons.push(format!("{locality}: the last slab could not be written"));
        }
        if state.blind {
            reasons.push(format!("{locality}: the plans in the spool have not been seen yet"));
        }
        if state.clock_behind {
            warnings.push(format!("{locality}: the clock is behind the newest plan in the spool"));
        }
    }
    let ready = reasons.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let readiness = Readiness {
        ready,
        reasons,
        warnings,
    };
    (status, Json(readiness))
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, OPEN_METRICS)], app.metrics.text())
}
