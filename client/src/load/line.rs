//! How devices reach the ingestor: plain on this machine, over TLS elsewhere.

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

use super::LoadError;
use crate::address::Address;

/// A connection of HTTP/1.1.
pub(super) type Connection = SendRequest<Full<Bytes>>;

/// Where connections go, and how.
pub(super) struct Line {
    host: (String, u16),
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Line {
    /// The line to an address. Certificates are checked by `tls`, or else by the roots of the system.
    pub(super) fn new(address: &Address, tls: Option<Arc<ClientConfig>>) -> Result<Self, LoadError> {
        let host = address.host_and_port();
        if address.is_plain() {
            return Ok(Self { host, tls: None });
        }
        let name = ServerName::try_from(host.0.clone()).map_err(|error| LoadError::Tls(error.to_string()))?;
        let config = tls.map_or_else(system, Ok)?;
        let tls = Some((TlsConnector::from(config), name));
        Ok(Self { host, tls })
    }

    /// A new connection; a word for what failed.
    pub(super) async fn connect(&self) -> Result<Connection, &'static str> {
        let (host, port) = &self.host;
        let stream = TcpStream::connect((host.as_str(), *port))
            .await
            .map_err(|_| "connect")?;
        stream.set_nodelay(true).map_err(|_| "connect")?;
        match &self.tls {
            None => speak(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|_| "tls")?;
                speak(stream).await
            }
        }
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection, &'static str> {
    let (connection, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| "connect")?;
    // It ends with the connection, and its errors are those of the requests.
    tokio::spawn(driver);
    Ok(connection)
}

/// The roots of the system, as the rest of the client has them.
fn system() -> Result<Arc<ClientConfig>, LoadError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_platform_verifier())
        .map_err(|error| LoadError::Tls(error.to_string()))?;
    Ok(Arc::new(builder.with_no_client_auth()))
}
