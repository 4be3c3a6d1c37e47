//! Browsers: which pages of other origins may use this server (the CORS protocol of the Fetch standard).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::App;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
const HEADERS: HeaderValue = HeaderValue::from_static("content-type, content-encoding, if-none-match");
/// What scripts may read of an answer, in addition to what they always may.
const EXPOSED: HeaderValue = HeaderValue::from_static("etag, retry-after");
/// For how long browsers may keep the answer to a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origins whose pages may use this server.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins {
    any: bool,
    listed: Vec<String>,
}

impl Origins {
    /// The origins of the configuration; `*` means any.
    pub(super) fn new(origins: &[String]) -> Self {
        Self {
            any: origins.iter().any(|origin| origin == "*"),
            listed: origins.to_vec(),
        }
    }

    /// What to allow a request: nothing unless a page of such an origin sends it.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        let listed = self.listed.iter().any(|listed| listed.as_bytes() == origin.as_bytes());
        listed.then(|| origin.clone())
    }

    fn is_used(&self) -> bool {
        !self.listed.is_empty()
    }
}

/// Answers preflights, and allows the pages of configured origins to read answers.
pub(super) async fn allow(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if !app.origins.is_used() {
        return next.run(request).await;
    }
    let headers = request.headers();
    let allowed = app.origins.allowed(headers);
    let asks = request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match asks {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    // The same page is answered differently to other origins: caches have to know.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = allowed else { return response };
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
