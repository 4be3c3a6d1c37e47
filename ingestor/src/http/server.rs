//! Listening, serving and shutdown. Shutdown answers every request whose reports have been read.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tallybox_service::connections::open_file_limit;
use tallybox_service::operations::Operations;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Connections;
use super::tls::Certificates;
use super::{App, watch};
use crate::error::Error;
use crate::ingestor::Ingestor;

/// Fraction of the drain time that is reserved for writing slabs: one part in five.
const FLUSH_DIVISOR: u32 = 5;

/// Open files that are reserved for the spool, operators and logs: everything except clients'
/// connections.
const OTHER_FILES: u64 = 256;

/// A server whose sockets are bound.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    clients: TcpListener,
    operators: Operations,
    certificates: Option<Certificates>,
    router: Router,
}

impl Server {
    /// Binds both addresses and starts the app. Connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// [`Error::Listen`] if an address is in use, [`Error::File`] for a certificate that cannot be
    /// used.
    pub async fn bind(ingestor: Arc<Ingestor>) -> Result<Self, Error> {
        let certificates = match &ingestor.serve.tls {
            Some(files) => Some(Certificates::load(files).await?),
            None => None,
        };
        let clients = listen(ingestor.serve.listen).await?;
        let operators = Operations::bind(ingestor.serve.operations).await;
        let operators = operators.map_err(|source| failed(ingestor.serve.operations, source))?;
        let app = App::start(ingestor).await?;
        Ok(Self {
            router: app.router(),
            app,
            clients,
            operators,
            certificates,
        })
    }

    /// Wraps the router for clients in additional layers, as a staging server does.
    #[must_use]
    pub fn behind(self, front: impl FnOnce(Router) -> Router) -> Self {
        let router = front(self.router);
        Self { router, ..self }
    }

    /// Returns the address to which clients post.
    ///
    /// # Errors
    /// None in practice: the socket is bound.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        local(&self.clients)
    }

    /// Returns the address of health checks and metrics.
    ///
    /// # Errors
    /// None in practice: the socket is bound.
    pub fn operations_address(&self) -> Result<SocketAddr, Error> {
        self.operators.address().map_err(no_address)
    }

    /// Returns the server without its sockets.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves until `shutdown`. Then it accepts no more connections, answers requests in flight,
    /// writes the slabs and returns, all within the drain time.
    pub async fn run(self, shutdown: CancellationToken) {
        let drain = Duration::from_secs(self.app.ingestor.serve.drain_secs);
        let background = CancellationToken::new();
        let helpers = TaskTracker::new();
        helpers.spawn(
            background
                .clone()
                .run_until_cancelled_owned(watch::registry(Arc::clone(&self.app))),
        );
        let app = Arc::clone(&self.app);
        let watching = async move { app.watch_spool().await };
        helpers.spawn(background.clone().run_until_cancelled_owned(watching));
        if let Some(certificates) = self.certificates.clone() {
            let watching = watch::certificates(Arc::clone(&self.app), certificates);
            helpers.spawn(background.clone().run_until_cancelled_owned(watching));
        }
        helpers.spawn(
            self.operators
                .run(self.app.operations(), background.clone()),
        );

        let most = possible_connections(self.app.ingestor.serve.connections, open_file_limit());
        let clients = Connections::new(&self.app, self.router, self.certificates, shutdown, most);
        let (tasks, cut) = (clients.tasks().clone(), clients.cut().clone());
        clients.accept(self.clients).await;

        let end = Instant::now() + drain;
        self.app.drain();
        tracing::info!(connections = tasks.len(), "draining");
        tasks.close();
        if timeout_at(end - drain / FLUSH_DIVISOR, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = tasks.len(),
                "connections did not end in time and are closed"
            );
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

/// Returns the configured number of connections, or fewer if the process may not open as many
/// files.
fn possible_connections(configured: usize, open_files: Option<u64>) -> usize {
    let Some(limit) = open_files else {
        return configured;
    };
    let possible = limit.saturating_sub(OTHER_FILES).max(limit / 2).max(1);
    let possible = usize::try_from(possible).unwrap_or(usize::MAX);
    if possible < configured {
        tracing::warn!(
            configured,
            possible,
            "the limit of open files allows fewer connections than serve.connections; raise it (ulimit -n)"
        );
    }
    configured.min(possible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_spool() {
        assert_eq!(possible_connections(4096, None), 4096);
        assert_eq!(possible_connections(4096, Some(1 << 20)), 4096);
        assert_eq!(possible_connections(4096, Some(1024)), 768);
        assert_eq!(possible_connections(4096, Some(300)), 150);
    }
}
