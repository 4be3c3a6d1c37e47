//! Cross-origin requests from browsers (the CORS protocol of the Fetch standard).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::App;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
const HEADERS: HeaderValue =
    HeaderValue::from_static("content-type, content-encoding, if-none-match");
/// Headers of an answer that scripts may read, in addition to the safelisted ones.
const EXPOSED: HeaderValue = HeaderValue::from_static("etag, retry-after");
/// Time for which browsers may cache the answer to a preflight request, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origins whose pages may use this server.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins {
    any: bool,
    listed: Vec<String>,
}

impl Origins {
    /// Creates the set from the configuration; `*` means any origin.
    pub(super) fn new(origins: &[String]) -> Self {
        Self {
            any: origins.iter().any(|origin| origin == "*"),
            listed: origins.to_vec(),
        }
    }

    /// Returns the `Access-Control-Allow-Origin` value for a request, or `None` if its origin is
    /// not allowed.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        let listed = self
            .listed
            .iter()
            .any(|listed| listed.as_bytes() == origin.as_bytes());
        listed.then(|| origin.clone())
    }

    fn is_used(&self) -> bool {
        !self.listed.is_empty()
    }
}

/// Answers preflight requests, and allows pages of the configured origins to read answers.
pub(super) async fn allow(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // Without configured origins, answers have no CORS headers and caches need no Vary header.
    if !app.origins.is_used() {
        return next.run(request).await;
    }
    let headers = request.headers();
    let allowed = app.origins.allowed(headers);
    let asks = request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match asks {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    // The answer depends on the request's origin, so caches have to store it per origin.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = allowed else {
        return response;
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if asks {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    } else {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    response
}
