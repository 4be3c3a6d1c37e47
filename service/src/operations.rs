//! The HTTP endpoint for operators: liveness, readiness and metrics.
//!
//! | path | response |
//! |---|---|
//! | `/healthz` | 200 while the program makes progress; 503 with reasons to restart it |
//! | `/readyz` | 200 or 503, with reasons and warnings as JSON |
//! | `/metrics` | metrics for Prometheus (OpenMetrics text) |

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::connections::{Connection, PlaceLimits, Places, Times};
use crate::process_metrics;
use crate::version::Build;
use tallybox_model::cause::chain;

/// Connection limits of the endpoint. Every new connection is accepted. At the limit, the
/// connection that has gone longest without a request is closed, so that probes are answered
/// however many other connections are open.
const LIMITS: PlaceLimits = PlaceLimits {
    all: 256,
    of_a_group: 0,
    // A probe does not wait until another connection is late.
    on_time: Duration::ZERO,
    times: Times {
        first: Duration::from_secs(5),
        idle: Duration::from_secs(90),
        bytes_per_second: 1024,
    },
};
/// How long open responses may take when the endpoint stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// Read buffer of one connection, in bytes.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// The state that a program reports to operators.
pub trait Operable: Send + Sync + 'static {
    /// Returns the reasons why the program should be restarted; empty while it makes progress. By
    /// default, a program that answers is healthy.
    fn stuck(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the program's build.
    fn build(&self) -> Build;

    /// Returns whether the program can take work.
    fn readiness(&self) -> Readiness;

    /// Returns all metrics as OpenMetrics text.
    fn metrics(&self) -> String;
}

/// The readiness of a program to take work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Reasons why the program cannot take work; empty if it is ready.
    pub reasons: Vec<String>,
    /// Conditions that do not prevent work but need an operator's attention.
    pub warnings: Vec<String>,
}

impl Readiness {
    /// Returns whether the program can take work.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// The JSON form of [`Readiness`].
#[derive(Debug, Serialize)]
struct ReadinessPage {
    ready: bool,
    reasons: Vec<String>,
    warnings: Vec<String>,
}

/// Returns the routes of the endpoint. The caller may add a fallback.
pub fn router(program: Arc<dyn Operable>) -> Router {
    let common = Arc::new(process_metrics::registry(&program.build()));
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Pages { program, common })
}

/// State shared by the handlers.
#[derive(Clone)]
struct Pages {
    program: Arc<dyn Operable>,
    /// The metrics that every program has.
    common: Arc<Registry>,
}

async fn health(State(Pages { program, .. }): State<Pages>) -> impl IntoResponse {
    let reasons = program.stuck();
    if reasons.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
    }
}

async fn ready(State(Pages { program, .. }): State<Pages>) -> impl IntoResponse {
    let readiness = program.readiness();
    let ready = readiness.ready();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let Readiness { reasons, warnings } = readiness;
    let page = ReadinessPage {
        ready,
        reasons,
        warnings,
    };
    (status, Json(page))
}

async fn metrics(State(Pages { program, common }): State<Pages>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut text = program.metrics();
    // OpenMetrics permits one `# EOF`, at the end; the common metrics are appended below.
    text.truncate(
        text.trim_end()
            .strip_suffix("# EOF")
            .map_or(text.len(), str::len),
    );
    // Writing to a string does not fail.
    let _ = text::encode(&mut text, &common);
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text)
}

/// A bound listener for operators. Connections wait until [`run`](Self::run).
#[derive(Debug)]
pub struct Operations {
    listener: TcpListener,
}

impl Operations {
    /// Binds the address.
    ///
    /// # Errors
    /// If the address is in use or not available.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener })
    }

    /// Returns the bound address.
    ///
    /// # Errors
    /// None in practice: the socket is bound.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves the routes until `stop` is cancelled.
    pub async fn run(self, router: Router, stop: CancellationToken) {
        let slots = Places::<()>::new(LIMITS);
        let tasks = TaskTracker::new();
        let accepting = async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let Ok(slot) = slots.enter(None).await else {
                            continue;
                        };
                        let (router, stop) = (router.clone(), stop.clone());
                        tasks.spawn(async move {
                            // Errors of a connection are caused by its client, so they are not
                            // logged.
                            serve(stream, router, stop, slot.connection()).await;
                        });
                    }
                    Err(error) => {
                        // Too many open files, or a connection that has been reset: the endpoint
                        // continues.
                        slots.make_room();
                        tracing::warn!(
                            error = chain(&error),
                            "cannot accept an operator's connection"
                        );
                        sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        };
        let _ = stop.run_until_cancelled(accepting).await;
        tasks.close();
        let _ = timeout(STOP_TIMEOUT, tasks.wait()).await;
    }
}

async fn serve(
    stream: TcpStream,
    router: Router,
    stop: CancellationToken,
    connection: &Arc<Connection>,
) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let asked = connection.asked();
        let request = request.map(|body| Body::new(asked.coming(body)));
        let answering = router.clone().oneshot(request);
        async move {
            answering
                .await
                .map(|answer| answer.map(|body| asked.going(body)))
        }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LIMITS.times.idle)
        .max_buf_size(READ_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = connection.over() => return,
        () = connection.evicted() => return,
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    // Responses in progress are completed; `run` limits the time.
    let _ = serving.await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[derive(Default)]
    struct Program {
        ill: AtomicBool,
    }

    impl Operable for Program {
        fn build(&self) -> Build {
            Build::new("x", &[])
        }

        fn stuck(&self) -> Vec<String> {
            let ill = self.ill.load(Ordering::SeqCst);
            ill.then(|| "a task is stuck".to_owned())
                .into_iter()
                .collect()
        }

        fn readiness(&self) -> Readiness {
            Readiness {
                reasons: self.stuck(),
                warnings: vec!["it is late".to_owned()],
            }
        }

        fn metrics(&self) -> String {
            "x_y 1\n# EOF\n".to_owned()
        }
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_pages_say_what_the_program_says() {
        let program = Arc::new(Program::default());
        let page = Operations::bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let (address, stop) = (page.address().unwrap(), CancellationToken::new());
        let running = tokio::spawn(page.run(router(program.clone()), stop.clone()));

        let answer = get(address, "/healthz").await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
            "{answer}"
        );
        let answer = get(address, "/readyz").await;
        let json = r#"{"ready":true,"reasons":[],"warnings":["it is late"]}"#;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with(json),
            "{answer}"
        );
        let answer = get(address, "/metrics").await;
        assert!(
            answer.contains("openmetrics-text") && answer.ends_with("# EOF\n"),
            "{answer}"
        );
        assert_eq!(answer.matches("# EOF").count(), 1, "{answer}");
        assert!(
            ["x_y 1\n", "build_info{program=\"x\",", "process_open_fds "]
                .iter()
                .all(|line| answer.contains(line))
        );
        assert!(get(address, "/secrets").await.starts_with("HTTP/1.1 404"));

        program.ill.store(true, Ordering::SeqCst);
        let answer = get(address, "/healthz").await;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.ends_with("a task is stuck\n"),
            "{answer}"
        );
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503"));

        stop.cancel();
        running.await.unwrap();
        assert!(
            TcpStream::connect(address).await.is_err(),
            "the listener is closed"
        );
    }

    #[tokio::test]
    async fn silent_and_slow_connections_keep_no_probe_waiting() {
        let page = Operations::bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let (address, stop) = (page.address().unwrap(), CancellationToken::new());
        let running = tokio::spawn(page.run(router(Arc::new(Program::default())), stop.clone()));
        let mut held = Vec::new();
        for index in 0..3 * LIMITS.all {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if index % 3 > 0 {
                let slow: &[u8] = [
                    b"GET /heal",
                    b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n" as &[u8],
                ][index % 3 - 1];
                stream.write_all(slow).await.unwrap();
            }
            held.push(stream);
        }
        let answer = timeout(Duration::from_secs(1), get(address, "/healthz"))
            .await
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        stop.cancel();
        running.await.unwrap();
    }
}
