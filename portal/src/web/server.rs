//! The routes, and the headers that every answer has.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::error::WebError;
use super::site::Site;
use super::{api, assets, pages};

/// Nothing but the style sheet and images of the portal itself; no script at all.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
    script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
];

/// Returns the routes of the pages and downloads.
pub fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(pages::overview))
        .route("/metrics/{aggregation}", get(pages::metric))
        .route(
            "/metrics/{aggregation}/{instance}/{window}",
            get(pages::window),
        )
        .route("/findings", get(pages::findings))
        .route("/about", get(pages::about))
        .route("/api/v1/metrics", get(api::metrics))
        .route("/api/v1/metrics/{aggregation}/windows", get(api::windows))
        .route("/api/v1/dictionary", get(api::dictionary))
        .route("/static/{name}", get(assets::file))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async { WebError::NotFound("this page".to_owned()) })
        .with_state(site)
        .layer(from_fn(with_headers))
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await.into_response();
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages change whenever a window is added.
    let revalidate = HeaderValue::from_static("no-cache");
    headers.entry(header::CACHE_CONTROL).or_insert(revalidate);
    response
}
