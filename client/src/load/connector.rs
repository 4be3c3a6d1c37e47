//! Connections to the ingestor: plain HTTP on this machine, TLS elsewhere.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::LoadError;
use crate::address::Address;

/// An HTTP/1.1 connection.
pub(super) type Connection = SendRequest<Full<Bytes>>;

/// The destination of connections, and their TLS settings.
pub(super) struct Connector {
    host: (String, u16),
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Connector {
    /// Prepares connections to an address. `tls` verifies certificates; the default is the system's
    /// root certificates.
    pub(super) fn new(
        address: &Address,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, LoadError> {
        let host = address.host_and_port();
        if address.is_plain() {
            return Ok(Self { host, tls: None });
        }
        let name = ServerName::try_from(host.0.clone())
            .map_err(|error| LoadError::Tls(error.to_string()))?;
        let config = tls.map_or_else(system_tls, Ok)?;
        let tls = Some((TlsConnector::from(config), name));
        Ok(Self { host, tls })
    }

    /// Opens a connection, or returns the name of the step that failed.
    pub(super) async fn connect(&self) -> Result<Connection, &'static str> {
        let (host, port) = &self.host;
        let stream = TcpStream::connect((host.as_str(), *port))
            .await
            .map_err(|_| "connect")?;
        stream.set_nodelay(true).map_err(|_| "connect")?;
        match &self.tls {
            None => handshake(stream).await,
            Some((connector, name)) => {
                let stream = connector
                    .connect(name.clone(), stream)
                    .await
                    .map_err(|_| "tls")?;
                handshake(stream).await
            }
        }
    }
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Connection, &'static str> {
    let (connection, driver) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|_| "connect")?;
    // The task ends with the connection. Its errors also appear as errors of the requests.
    tokio::spawn(driver);
    Ok(connection)
}

/// Returns TLS settings with the system's root certificates, like the rest of the client.
fn system_tls() -> Result<Arc<ClientConfig>, LoadError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_platform_verifier())
        .map_err(|error| LoadError::Tls(error.to_string()))?;
    Ok(Arc::new(builder.with_no_client_auth()))
}
