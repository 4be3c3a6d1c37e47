//! The routers for clients and for operators.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use tallybox_model::report::ProblemKind;
use tallybox_service::operations::{self, Operable};

use super::app::App;
use super::refusal::Refusal;
use super::{cors, documents, openapi, problems, reports};

impl App {
    /// Returns the router for clients. Requests without a [`Peer`](super::Peer) extension are
    /// attributed to one common network.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/v1/{locality}/reports", post(reports::post))
            .route("/v1/{locality}/config", get(documents::config))
            .route("/manifest", get(documents::manifest_page))
            .route("/openapi.json", get(openapi::page))
            .route("/problems", get(problems::page))
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(from_fn_with_state(Arc::clone(self), observe))
            .layer(from_fn_with_state(Arc::clone(self), cors::allow))
            // `body::read` enforces its own limits and takes the bytes from the budget.
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(self))
    }

    /// Returns the router for operators.
    pub fn operations(self: &Arc<Self>) -> Router {
        let program = Arc::clone(self) as Arc<dyn Operable>;
        operations::router(program)
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
    }
}

/// Counts requests and measures their duration.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let response = next.run(request).await;
    app.metrics
        .request_seconds
        .observe(begun.elapsed().as_secs_f64());
    if let Some(kind) = response.extensions().get::<ProblemKind>() {
        app.metrics.refused(*kind).inc();
    }
    response
}

async fn not_found() -> Refusal {
    Refusal::new(
        ProblemKind::NotFound,
        "no resource has this path; /openapi.json lists all paths",
    )
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(
        ProblemKind::MethodNotAllowed,
        "the path does not support this method; /openapi.json lists the methods",
    )
}
