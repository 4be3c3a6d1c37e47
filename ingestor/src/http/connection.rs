//! Clients' connections, from the first byte to the last.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum_server::accept::{Accept as _, DefaultAcceptor};
use axum_server::tls_rustls::RustlsAcceptor;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tallybox_model::cause::chain;
use tallybox_model::report::ProblemKind;
use tallybox_service::connections::{Connection, End, Place, PlaceLimits, Places, Times};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::App;
use super::framing::TwoLengths;
use super::network::{Network, Peer};
use super::refusal::Refusal;
use super::tls::Certificates;
use super::write_timeout::WriteTimeout;
use crate::metrics::Closed;

/// Interval of HTTP/2 pings, and longest time for a client to answer one.
const PING_TIME: Duration = Duration::from_secs(20);
/// Longest time for a request in progress, in multiples of `request-secs`: one each for the body,
/// the spool and the answer.
const DRAIN_TIMEOUTS: u32 = 3;
/// Read buffer of a connection, in bytes. The buffer also limits request heads; bodies have their
/// own memory.
const BUFFER_BYTES: usize = 16 << 10;
/// Longest time for an idle connection to close, so that HTTP/2 can announce the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Shortest delay after which a connection may be closed in favour of another one. Longer than
/// the first bytes of a request take to arrive.
const MIN_CONNECTION_TIME: Duration = Duration::from_millis(100);
/// Most concurrent requests on an HTTP/2 connection, and its initial flow-control window in bytes.
const MAX_STREAMS: u32 = 32;
const WINDOW_BYTES: u32 = 64 << 10;

/// State that all connections of a listener share.
#[derive(Clone)]
pub(super) struct Connections {
    app: Arc<App>,
    router: Router,
    certificates: Option<Certificates>,
    builder: auto::Builder<TokioExecutor>,
    connections: Arc<Places<Network>>,
    times: Times,
    /// Cancelled when connections accept no new requests.
    stop: CancellationToken,
    /// Cancelled when the drain time is over and open connections are closed.
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Connections {
    /// Creates the state with no connections, for at most `most` of them.
    pub(super) fn new(
        app: &Arc<App>,
        router: Router,
        certificates: Option<Certificates>,
        stop: CancellationToken,
        most: usize,
    ) -> Self {
        let serve = &app.ingestor.serve;
        let idle = Duration::from_secs(serve.idle_secs);
        let times = Times {
            // Proxies open connections before they have a request.
            first: match serve.behind_proxy {
                None => Duration::from_secs(serve.first_request_secs),
                Some(_) => idle,
            },
            idle,
            bytes_per_second: serve.body_bytes_per_second,
        };
        let limits = PlaceLimits {
            all: most,
            of_a_group: serve.connections_per_network,
            on_time: MIN_CONNECTION_TIME,
            times,
        };
        Self {
            app: Arc::clone(app),
            router,
            certificates,
            builder: builder(idle),
            connections: Arc::new(Places::new(limits)),
            times,
            stop,
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Returns the tracker of the connections' tasks.
    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Returns the token that closes all connections.
    pub(super) fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// Accepts connections until it is stopped. If there are too many, those whose last complete
    /// request is the oldest are closed in favour of new ones.
    pub(super) async fn accept(self, listener: TcpListener) {
        let stop = self.stop.clone();
        let accepting = async {
            loop {
                match listener.accept().await {
                    Ok((stream, address)) => self.enter(stream, Peer::from_address(address)).await,
                    Err(error) => {
                        // The process has too many open files, or the client has disconnected.
                        // Neither error stops the server.
                        self.connections.make_room();
                        tracing::warn!(error = chain(&error), "cannot accept a connection");
                        sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        };
        let _ = stop.run_until_cancelled(accepting).await;
    }

    async fn enter(&self, stream: TcpStream, peer: Peer) {
        self.app.metrics.connections_accepted.inc();
        let network = self.app.networks.of_connection(peer);
        match self.connections.enter(network).await {
            Ok(slot) => {
                self.tasks
                    .spawn(self.clone().connection(stream, peer, slot));
            }
            Err(_crowded) => {
                self.app.metrics.closed(Closed::Crowded).inc();
            }
        }
    }

    /// Serves one connection. Its errors are the client's, so they are counted but not logged.
    async fn connection(self, stream: TcpStream, peer: Peer, slot: Place<Network>) {
        let metrics = Arc::clone(&self.app.metrics);
        metrics.connections.inc();
        let _ = stream.set_nodelay(true);
        let connection = Arc::clone(slot.connection());
        let serving = async {
            match &self.certificates {
                None => Box::pin(self.serve(stream, peer, &connection)).await,
                Some(certificates) => {
                    let acceptor = RustlsAcceptor::new(certificates.current.clone())
                        .acceptor(DefaultAcceptor::new());
                    let shaking = self.stop.run_until_cancelled(acceptor.accept(stream, ()));
                    match Box::pin(timeout(self.times.first, shaking)).await {
                        Ok(Some(Ok((stream, ())))) => {
                            Box::pin(self.serve(stream, peer, &connection)).await
                        }
                        Ok(_) => {}
                        Err(_) => {
                            metrics.closed(Closed::Late).inc();
                        }
                    }
                }
            }
        };
        tokio::select! {
            () = serving => {}
            () = connection.evicted() => {
                metrics.closed(Closed::Evicted).inc();
            }
        }
        metrics.connections.dec();
        drop(slot);
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        connection: &Arc<Connection>,
    ) {
        let write_timeout = Duration::from_secs(self.app.ingestor.serve.request_secs);
        let two_lengths = TwoLengths::default();
        let stream = WriteTimeout::new(stream, write_timeout, two_lengths.clone());
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let asked = connection.asked();
            let mut request = request.map(|body| Body::new(asked.coming(body)));
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(Arc::clone(connection));
            let refused = two_lengths.is_set().then(|| {
                self.app.metrics.refused(ProblemKind::Malformed).inc();
                two_lengths_refusal()
            });
            let response = self.router.clone().oneshot(request);
            async move {
                let answer = match refused {
                    Some(refusal) => Ok(refusal),
                    None => response.await,
                };
                answer.map(|answer| answer.map(|body| asked.going(body)))
            }
        });
        let serving = self.builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(serving);
        let mut is_idle = false;
        tokio::select! {
            _ = serving.as_mut() => return,
            () = self.stop.cancelled() => {}
            end = connection.over() => match end {
                End::Idle => {
                    self.app.metrics.closed(Closed::Idle).inc();
                    is_idle = true;
                }
                End::Late => {
                    self.app.metrics.closed(Closed::Late).inc();
                    return;
                }
            }
        }
        // Requests in progress are answered. The timeout below is longer than any valid request
        // takes.
        serving.as_mut().graceful_shutdown();
        // An incomplete request head would keep an idle connection open until the head's own
        // timeout.
        if is_idle
            && (timeout(CLOSE_TIMEOUT, serving.as_mut()).await.is_ok() || !connection.has_request())
        {
            return;
        }
        let ending = timeout(self.times.idle + write_timeout * DRAIN_TIMEOUTS, serving);
        let _ = self.cut.run_until_cancelled(ending).await;
    }
}

/// Returns the answer to a request with two lengths, and to bytes that may be part of it. The
/// connection is closed after it.
fn two_lengths_refusal() -> Response {
    let detail = "Content-Length and Transfer-Encoding are both present; send one of them";
    let mut answer = Refusal::new(ProblemKind::Malformed, detail).into_response();
    answer
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn builder(idle: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .adaptive_window(false)
        .max_concurrent_streams(MAX_STREAMS)
        .max_frame_size(BUFFER_BYTES as u32)
        .max_send_buf_size(BUFFER_BYTES)
        .max_header_list_size(BUFFER_BYTES as u32)
        .keep_alive_interval(PING_TIME)
        .keep_alive_timeout(PING_TIME);
    builder
}
