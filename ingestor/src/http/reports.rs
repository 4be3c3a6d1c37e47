//! `POST /v1/{locality}/reports`: admission of reports.

mod admission;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use bytes::Bytes;
use tallybox_model::report::ProblemKind;
use tallybox_service::connections::Connection;
use tokio::sync::oneshot;

use admission::{AnswerLimits, Pending, PostAdmission};

use super::App;
use super::body::{self, Form, Media, Packing, REPORT_BYTES, Terms};
use super::budget::Hold;
use super::decode::{self, BodyReports};
use super::network::{Network, Peer};
use super::openapi;
use super::refusal::Refusal;

/// Bodies up to this size are processed on the thread that reads them: a few dozen reports.
const SMALL_BODY_BYTES: usize = 32 << 10;
/// The same limit for a compressed body, which may become much larger.
const SMALL_PACKED_BODY_BYTES: usize = 1 << 10;

/// Post reports
///
/// The status of the answer to a single JSON report is the result for this report. The answer to a
/// list of reports or to an Avro file has status 200 and contains a result for each report. A
/// report with the result `accepted` or `alreadyAccepted` is durable.
#[utoipa::path(
    post,
    path = "/v1/{locality}/reports",
    tag = "clients",
    params(("locality" = String, Path, description = "The locality")),
    request_body(
        description = "One report or a list; an Avro container file holds TallyboxReport records, its codec null, deflate or snappy",
        content((openapi::Body = "application/json"), (openapi::AvroFile = "avro/binary"))
    ),
    responses(
        (status = 200, description = "The result for each report", body = openapi::Answer,
            headers(("Retry-After" = u32, description = "Seconds; present if some reports should be sent again"))),
        (status = 400, description = "The body or the report is not acceptable in this form",
            body = openapi::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The attestation is missing or cannot be verified",
            body = openapi::Problem, content_type = "application/problem+json"),
        (status = 404, description = "Unknown locality",
            body = openapi::Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time",
            body = openapi::Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u32, description = "Seconds"))),
        (status = 409, description = "Another report with this id, or of this device on this day, was accepted",
            body = openapi::Problem, content_type = "application/problem+json"),
        (status = 410, description = "The metric is closed",
            body = openapi::Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large or contains too many reports",
            body = openapi::Problem, content_type = "application/problem+json"),
        (status = 415, description = "Unsupported media type or content encoding",
            body = openapi::Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many reports from this network or device",
            body = openapi::Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u32, description = "Seconds"))),
        (status = 503, description = "The server is overloaded, or the spool cannot be written",
            body = openapi::Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u32, description = "Seconds"))),
    )
)]
pub(super) async fn post(
    State(app): State<Arc<App>>,
    locality: Result<Path<String>, PathRejection>,
    peer: Option<Extension<Peer>>,
    connection: Option<Extension<Arc<Connection>>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let unreadable = |_| {
        Refusal::new(
            ProblemKind::UnknownLocality,
            "the locality in the URL cannot be decoded",
        )
    };
    let Path(locality) = locality.map_err(unreadable)?;
    let peer = peer.map(|Extension(peer)| peer).unwrap_or_default();
    let context = match check_headers(&app, &locality, peer, &headers, &body) {
        Ok(context) => context,
        Err(refusal) => {
            // A client that is still sending its body would not see the answer.
            if !headers.contains_key(header::EXPECT) {
                body::discard(body).await;
            }
            return Err(refusal);
        }
    };
    // The headers are not needed while the reports wait to be durable, and they keep a buffer of
    // the connection alive.
    drop(headers);
    let PostContext {
        form,
        most,
        network,
        memory_network,
        mut hold,
    } = context;
    let serve = &app.ingestor.serve;
    let request_timeout = Duration::from_secs(serve.request_secs);
    let terms = Terms {
        most,
        time: request_timeout,
        bytes_per_second: serve.body_bytes_per_second,
    };
    let bytes = body::read(body, terms, &mut hold).await?;
    let limits = AnswerLimits {
        budget: app.budget.clone(),
        network: memory_network,
        // Without a connection there is nothing to close.
        cut: connection
            .map(|Extension(connection)| connection.cut().clone())
            .unwrap_or_default(),
        timeout: request_timeout,
    };
    let post = Post {
        app,
        locality,
        form,
        bytes,
        network,
        hold,
    };
    let pending = post.admit_on_suitable_thread().await?;
    Ok(pending.answer(&limits).await)
}

/// Properties of a post that are known before its body arrives.
struct PostContext {
    form: Form,
    most: u64,
    /// The network for rate limits.
    network: Network,
    /// The network for memory limits, if the address is known.
    memory_network: Option<Network>,
    hold: Hold,
}

fn check_headers(
    app: &App,
    locality: &str,
    peer: Peer,
    headers: &HeaderMap,
    body: &Body,
) -> Result<PostContext, Refusal> {
    app.locality(locality)?;
    let form = Form::from_headers(headers)?;
    let most = body::announced(body, app.ingestor.serve.body_bytes)?;
    let network = app.networks.rate_network(peer, headers);
    if !app.networks.try_acquire(network) {
        return Err(Refusal::new(
            ProblemKind::RateLimited,
            "this network sends more reports per minute than the limit; send them again later",
        ));
    }
    // The body's bytes are taken from the budget as they arrive.
    let memory_network = app.networks.memory_network(peer, headers);
    let hold = app
        .budget
        .reserve(REPORT_BYTES, memory_network)
        .ok_or_else(Refusal::overloaded)?;
    Ok(PostContext {
        form,
        most,
        network,
        memory_network,
        hold,
    })
}

/// A post whose body has arrived.
struct Post {
    app: Arc<App>,
    locality: String,
    form: Form,
    bytes: Bytes,
    network: Network,
    hold: Hold,
}

impl Post {
    /// Processes small bodies on this thread, and large ones on the pool with one thread per core.
    async fn admit_on_suitable_thread(self) -> Result<Pending, Refusal> {
        let small = match self.form.packing {
            Packing::None => SMALL_BODY_BYTES,
            Packing::Gzip | Packing::Zstd => SMALL_PACKED_BODY_BYTES,
        };
        if self.bytes.len() <= small {
            return self.admit();
        }
        let (done, wait) = oneshot::channel();
        let app = Arc::clone(&self.app);
        app.workers.spawn_fifo(move || {
            // If the client has disconnected, no receiver needs the answer.
            let _ = done.send(self.admit());
        });
        let broken = |_| {
            Refusal::new(
                ProblemKind::Unavailable,
                "the body could not be processed; send it again",
            )
        };
        wait.await.map_err(broken)?
    }

    /// Splits the body into reports, checks each of them and passes the admitted ones to the
    /// collector. From here on, the reports are stored even if the client disconnects.
    fn admit(mut self) -> Result<Pending, Refusal> {
        let serve = &self.app.ingestor.serve;
        let packed = std::mem::take(&mut self.bytes);
        let body = body::unpack(packed, self.form.packing, serve.body_bytes, &mut self.hold)?;
        let reports = match self.form.media {
            Media::Json => decode::json(&body, serve.body_reports)?,
            Media::Avro => {
                let most = decode::BodyLimits {
                    bytes: serve.body_bytes,
                    reports: serve.body_reports,
                };
                BodyReports::Parsed(decode::avro(&body, most, &mut |bytes| {
                    self.hold.grow(bytes)
                })?)
            }
        };
        if reports.count() > 1 && !self.hold.grow(REPORT_BYTES * reports.count() as u64) {
            return Err(Refusal::overloaded());
        }
        let service = self.app.locality(&self.locality)?;
        let mut admission = PostAdmission {
            networks: &self.app.networks,
            admission: &service.admission,
            collector: &service.collector,
            table: service.admission.table(),
            network: self.network,
            chunk: Vec::new(),
            chunk_bytes: 0,
            pending: Pending {
                single: matches!(reports, BodyReports::Single(_)),
                results: Vec::with_capacity(reports.count()),
                waits: Vec::new(),
                hold: Arc::new(self.hold),
            },
        };
        match reports {
            BodyReports::Single(text) => admission.add_result(decode::report(text)),
            BodyReports::List(list) => list
                .iter()
                .for_each(|text| admission.add_result(decode::report(text.get().as_bytes()))),
            BodyReports::Parsed(list) => list
                .into_iter()
                .for_each(|report| admission.add_result(report)),
        }
        Ok(admission.finish())
    }
}
