//! Middleware before the ingestor of a sandbox: records refused reports, and misbehaves on request.
//!
//! A client has to handle errors that are rare in normal operation. Developers request them here.
//! The ingestor itself is not aware of this middleware.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::Value;
use tallybox_crypto::jws;
use tallybox_model::client_config::{CLIENT_CONFIG_TYPE, ClientConfig};
use tallybox_model::report::{Problem, ProblemKind, ReportsAnswer};
use tallybox_service::connections::Connection;

use crate::keys::{CLIENT_CONFIG_KEY_ID, SandboxKeys};

/// Maximum size of a body in bytes.
const MAX_BODY_BYTES: usize = 64 << 20;
/// Maximum number of refusals that are recorded.
const MAX_REFUSALS: usize = 10_000;
/// One request in this number is answered in the manner given by `--unfriendly`.
const UNFRIENDLY_INTERVAL: u64 = 4;

/// A kind of misbehaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfriendly {
    /// A post is answered with 429 and Retry-After
    RateLimited,
    /// A post is answered with 503 and Retry-After
    Unavailable,
    /// The connection breaks after a post has been processed: the reports are stored, but the
    /// client does not know
    LostAnswer,
    /// A post is answered as if the packet keys had changed after the client's last fetch
    RotatedKey,
    /// A post is answered as if its metric had been closed
    ClosedMetric,
    /// The configuration that is served has expired
    ExpiredConfig,
}

/// The middleware.
#[derive(Debug)]
pub(crate) struct Front {
    keys: Arc<SandboxKeys>,
    /// The kinds that one request in [`UNFRIENDLY_INTERVAL`] receives, in turn.
    always: Vec<Unfriendly>,
    state: Mutex<Switches>,
}

#[derive(Debug, Default)]
struct Switches {
    /// The kinds requested for the next requests.
    next: VecDeque<Unfriendly>,
    posts: u64,
    fetches: u64,
    refused: HashMap<String, Problem>,
    order: VecDeque<String>,
}

impl Front {
    pub(crate) fn new(keys: Arc<SandboxKeys>, always: Vec<Unfriendly>) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self {
            keys,
            always,
            state,
        })
    }

    /// Adds this middleware to the ingestor's routes.
    pub(crate) fn before(self: &Arc<Self>, pages: Router) -> Router {
        pages.layer(from_fn_with_state(Arc::clone(self), intercept))
    }

    /// Requests a kind of misbehaviour for the next request that it applies to.
    pub(super) fn ask_for(&self, what: Unfriendly) {
        self.state().next.push_back(what);
    }

    /// Returns the last refusal of the report with this id.
    pub(super) fn refusal(&self, id: &str) -> Option<Problem> {
        self.state().refused.get(id).cloned()
    }

    fn record_refusal(&self, id: &str, problem: &Problem) {
        let id = id.to_lowercase();
        let mut state = self.state();
        if state.refused.insert(id.clone(), problem.clone()).is_none() {
            state.order.push_back(id);
        }
        if state.order.len() > MAX_REFUSALS
            && let Some(oldest) = state.order.pop_front()
        {
            state.refused.remove(&oldest);
        }
    }

    /// Chooses the misbehaviour for a request: one that was requested, or, for one request in
    /// [`UNFRIENDLY_INTERVAL`], the next kind in turn.
    fn choose_misbehaviour(&self, post: bool) -> Option<Unfriendly> {
        let concerns = |what: &Unfriendly| post != (*what == Unfriendly::ExpiredConfig);
        let mut state = self.state();
        if let Some(index) = state.next.iter().position(concerns) {
            return state.next.remove(index);
        }
        let count = match post {
            true => &mut state.posts,
            false => &mut state.fetches,
        };
        *count += 1;
        let request = *count;
        drop(state);
        let applicable: Vec<Unfriendly> = self
            .always
            .iter()
            .copied()
            .filter(|what| concerns(what))
            .collect();
        if applicable.is_empty() || !request.is_multiple_of(UNFRIENDLY_INTERVAL) {
            return None;
        }
        let index = (request / UNFRIENDLY_INTERVAL - 1) % applicable.len() as u64;
        applicable.get(usize::try_from(index).unwrap_or(0)).copied()
    }

    fn state(&self) -> MutexGuard<'_, Switches> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn intercept(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if request.method() == Method::POST && path.ends_with("/reports") {
        return front.post(request, next).await;
    }
    let fetches = request.method() == Method::GET && path.ends_with("/config");
    if fetches && front.choose_misbehaviour(false).is_some() {
        return front.expired(request, next).await;
    }
    next.run(request).await
}

impl Front {
    async fn post(&self, request: Request, next: Next) -> Response {
        let connection = request.extensions().get::<Arc<Connection>>().cloned();
        let (head, body) = request.into_parts();
        let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
            return problem(ProblemKind::Malformed, "the request body ended early");
        };
        let refusal = match self.choose_misbehaviour(true) {
            Some(Unfriendly::RateLimited) => Some((
                ProblemKind::RateLimited,
                "the sandbox was asked to refuse this post",
            )),
            Some(Unfriendly::Unavailable) => Some((
                ProblemKind::Unavailable,
                "the sandbox was asked to refuse this post",
            )),
            Some(Unfriendly::RotatedKey) => Some((
                ProblemKind::OutdatedKey,
                "the sandbox was asked to answer as if the packet keys had changed",
            )),
            Some(Unfriendly::ClosedMetric) => Some((
                ProblemKind::MetricClosed,
                "the sandbox was asked to answer as if the metric had been closed",
            )),
            Some(Unfriendly::LostAnswer) => {
                let _lost = next.run(Request::from_parts(head, Body::from(body))).await;
                if let Some(connection) = connection {
                    connection.evict();
                }
                // The eviction closes the connection, so this future never has to return a
                // response.
                return std::future::pending().await;
            }
            Some(Unfriendly::ExpiredConfig) | None => None,
        };
        let response = match refusal {
            Some((kind, detail)) => problem(kind, detail),
            None => {
                next.run(Request::from_parts(head, Body::from(body.clone())))
                    .await
            }
        };
        self.note(&body, response).await
    }

    /// Records the refusals in an answer.
    async fn note(&self, sent: &Bytes, response: Response) -> Response {
        let (head, body) = response.into_parts();
        let Ok(answer) = to_bytes(body, MAX_BODY_BYTES).await else {
            return Response::from_parts(head, Body::empty());
        };
        if let Ok(many) = serde_json::from_slice::<ReportsAnswer>(&answer) {
            for result in &many.results {
                if let Some(problem) = &result.problem {
                    self.record_refusal(&result.uuid, problem);
                }
            }
        } else if let Ok(problem) = serde_json::from_slice::<Problem>(&answer) {
            for id in ids(sent) {
                self.record_refusal(&id, &problem);
            }
        }
        Response::from_parts(head, Body::from(answer))
    }

    /// Serves the configuration signed with dates of a year ago.
    async fn expired(&self, mut request: Request, next: Next) -> Response {
        // A 304 response would have no document to sign again.
        request.headers_mut().remove(header::IF_NONE_MATCH);
        let (mut head, body) = next.run(request).await.into_parts();
        let document = to_bytes(body, MAX_BODY_BYTES).await.unwrap_or_default();
        let key = &self.keys.client_config;
        let public = key.verifying_key();
        let payload = jws::verify(&document, CLIENT_CONFIG_TYPE, |_| Some(&public)).ok();
        let config =
            payload.and_then(|payload| serde_json::from_slice::<ClientConfig>(&payload).ok());
        let expired = config.and_then(|config| {
            let issued: Timestamp = config.issued.parse().ok()?;
            let year = jiff::SignedDuration::from_hours(24 * 365);
            let long_ago =
                |time: Timestamp| time.checked_sub(year).ok().map(|time| time.to_string());
            let expires: Timestamp = config.expires.parse().ok()?;
            let config = ClientConfig {
                issued: long_ago(issued)?,
                expires: long_ago(expires)?,
                ..config
            };
            jws::sign(
                &serde_json::to_vec(&config).ok()?,
                CLIENT_CONFIG_TYPE,
                CLIENT_CONFIG_KEY_ID,
                key,
            )
            .ok()
        });
        // The body differs from the ingestor's, so its entity tag and length do not apply.
        head.headers.remove(header::ETAG);
        head.headers.remove(header::CONTENT_LENGTH);
        head.headers
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Response::from_parts(
            head,
            Body::from(expired.unwrap_or_else(|| document.to_vec())),
        )
    }
}

/// Returns the ids of the reports in a JSON body, as far as they can be parsed.
fn ids(sent: &Bytes) -> Vec<String> {
    let Ok(body) = serde_json::from_slice::<Value>(sent) else {
        return Vec::new();
    };
    let id = |report: &Value| Some(report["payload"]["uuid"].as_str()?.to_owned());
    match body["reports"].as_array() {
        Some(reports) => reports.iter().filter_map(id).collect(),
        None => id(&body).into_iter().collect(),
    }
}

fn problem(kind: ProblemKind, detail: &str) -> Response {
    let document = kind.problem(detail);
    let status = StatusCode::from_u16(document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content = [(header::CONTENT_TYPE, "application/problem+json")];
    let body = serde_json::to_string(&document).unwrap_or_default();
    let mut response = (status, content, body).into_response();
    if matches!(kind, ProblemKind::RateLimited | ProblemKind::Unavailable) {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
