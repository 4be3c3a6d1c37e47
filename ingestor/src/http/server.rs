//! Listening, connections, and the way down: no report that was read is left without an answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum_server::accept::{Accept as _, DefaultAcceptor};
use axum_server::tls_rustls::RustlsAcceptor;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tallybox_service::cause::chain;
use tallybox_service::operations::Operations;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::idle::Activity;
use super::network::Peer;
use super::patience::Patient;
use super::tls::Certificates;
use super::{App, watch};
use crate::error::Error;
use crate::ingestor::Ingestor;

/// How long a client of HTTP/2 may take to answer a ping, and how often it is sent one.
const PING_TIME: Duration = Duration::from_secs(20);
/// How long a request that has begun may take, in times of patience: for its body, for the spool, for the answer.
const PATIENCES: u32 = 3;
/// Bytes that a connection holds of what it reads: heads are bounded by it, bodies have memory of their own.
const BUFFER: usize = 16 << 10;
/// Requests at once on a connection of HTTP/2, and bytes that may come before they are asked for.
const STREAMS: u32 = 32;
const WINDOW: u32 = 64 << 10;
/// Part of the drain time that is left for the slabs.
const FLUSH_PART: u32 = 5;

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    clients: TcpListener,
    operators: Operations,
    certificates: Option<Certificates>,
}

/// What every connection of a listener has.
#[derive(Clone)]
struct Shared {
    app: Arc<App>,
    router: Router,
    certificates: Option<Certificates>,
    builder: auto::Builder<TokioExecutor>,
    /// No new requests.
    stop: CancellationToken,
    /// Out of patience.
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Binds both addresses and opens the doors. Connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// [`Error::Listen`] if an address is not free, [`Error::File`] for a certificate that cannot be used.
    pub async fn bind(ingestor: Arc<Ingestor>) -> Result<Self, Error> {
        let certificates = match &ingestor.serve.tls {
            Some(files) => Some(Certificates::load(files).await?),
            None => None,
        };
        let clients = listen(ingestor.serve.listen).await?;
        let operators = Operations::bind(ingestor.serve.operations).await;
        let operators = operators.map_err(|source| failed(ingestor.serve.operations, source))?;
        Ok(Self {
            app: App::start(ingestor).await?,
            clients,
            operators,
            certificates,
        })
    }

    /// Where clients post.
    ///
    /// # Errors
    /// None in practice: the socket is bound.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        local(&self.clients)
    }

    /// Where health and metrics are.
    ///
    /// # Errors
    /// None in practice: the socket is bound.
    pub fn operations_address(&self) -> Result<SocketAddr, Error> {
        self.operators.address().map_err(no_address)
    }

    /// What is behind the sockets.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves until `shutdown`; then takes no more connections, answers what is in flight, writes the slabs, and
    /// returns, all within the drain time.
    pub async fn run(self, shutdown: CancellationToken) {
        let drain = Duration::from_secs(self.app.ingestor.serve.drain_secs);
        let background = CancellationToken::new();
        let helpers = TaskTracker::new();
        helpers.spawn(
            background
                .clone()
                .run_until_cancelled_owned(watch::registry(Arc::clone(&self.app))),
        );
        if let Some(certificates) = self.certificates.clone() {
            let watching = watch::certificates(Arc::clone(&self.app), certificates);
            helpers.spawn(background.clone().run_until_cancelled_owned(watching));
        }
        helpers.spawn(self.operators.run(self.app.operations(), background.clone()));

        let clients = Shared::new(&self.app, self.certificates, shutdown);
        let (tasks, cut) = (clients.tasks.clone(), clients.cut.clone());
        let connections = self.app.ingestor.serve.connections;
        clients.accept(self.clients, connections).await;

        let end = Instant::now() + drain;
        self.app.drain();
        tracing::info!(connections = tasks.len(), "draining");
        tasks.close();
        if timeout_at(end - drain / FLUSH_PART, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "connections did not end in time and are cut");
            cut.cancel();
        }
        if timeout_at(end, self.app.close()).await.is_err() {
            tracing::error!("slabs were not written in time; their reports were not acknowledged");
        }
        background.cancel();
        helpers.close();
        let _ = timeout(Duration::from_secs(2), helpers.wait()).await;
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| failed(address, source))
}

fn failed(address: SocketAddr, source: io::Error) -> Error {
    let address = address.to_string();
    Error::Listen { address, source }
}

fn local(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(no_address)
}

fn no_address(error: io::Error) -> Error {
    Error::Internal(format!("a socket has no address: {error}"))
}

impl Shared {
    fn new(app: &Arc<App>, certificates: Option<Certificates>, stop: CancellationToken) -> Self {
        Self {
            app: Arc::clone(app),
            router: app.router(),
            certificates,
            builder: builder(Duration::from_secs(app.ingestor.serve.idle_secs)),
            stop,
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Accepts connections until it is stopped; more than `most` wait in the system's queue.
    async fn accept(self, listener: TcpListener, most: usize) {
        let places = Arc::new(Semaphore::new(most));
        let stop = self.stop.clone();
        let accepting = async {
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                match listener.accept().await {
                    Ok((stream, address)) => {
                        let connection = self.clone().connection(stream, Peer::of(address), place);
                        self.tasks.spawn(connection);
                    }
                    Err(error) => {
                        // Too many open files, or a connection that has gone: neither ends the server.
                        tracing::warn!(error = chain(&error), "connection could not be accepted");
                        sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        };
        let _ = stop.run_until_cancelled(accepting).await;
    }

    /// One connection from its first byte to its last. Its faults are its own: nothing is logged of them.
    async fn connection(self, stream: TcpStream, peer: Peer, place: OwnedSemaphorePermit) {
        let metrics = Arc::clone(&self.app.metrics);
        metrics.connections_accepted.inc();
        metrics.connections.inc();
        let _ = stream.set_nodelay(true);
        match &self.certificates {
            None => Box::pin(self.serve(stream, peer)).await,
            Some(certificates) => {
                let acceptor = RustlsAcceptor::new(certificates.current.clone()).acceptor(DefaultAcceptor::new());
                let shaking = self.stop.run_until_cancelled(acceptor.accept(stream, ()));
                if let Some(Ok((stream, ()))) = Box::pin(shaking).await {
                    Box::pin(self.serve(stream, peer)).await;
                }
            }
        }
        metrics.connections.dec();
        drop(place);
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        let serve = &self.app.ingestor.serve;
        let (idle, patience) = (
            Duration::from_secs(serve.idle_secs),
            Duration::from_secs(serve.request_secs),
        );
        let stream = Patient::new(stream, idle, patience);
        let activity = Activity::new();
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            let (asked, answering) = (activity.asked(), self.router.clone().oneshot(request));
            async move {
                let answer = answering.await;
                drop(asked);
                answer
            }
        });
        let serving = self.builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(serving);
        tokio::select! {
            _ = serving.as_mut() => return,
            () = self.stop.cancelled() => {}
            () = activity.ceased(idle) => {}
        }
        // What has begun is answered. Nothing that is right takes longer.
        serving.as_mut().graceful_shutdown();
        let ending = timeout(idle + patience * PATIENCES, serving);
        let _ = self.cut.run_until_cancelled(ending).await;
    }
}

fn builder(idle: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .adaptive_window(false)
        .max_concurrent_streams(STREAMS)
        .max_frame_size(BUFFER as u32)
        .max_send_buf_size(BUFFER)
        .max_header_list_size(BUFFER as u32)
        .keep_alive_interval(PING_TIME)
        .keep_alive_timeout(PING_TIME);
    builder
}
