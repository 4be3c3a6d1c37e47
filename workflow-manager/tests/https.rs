//! The peer's announcement on a real HTTPS server. Only a 404 means that there is none, and only a
//! server with a certificate that the system trusts is believed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Returns a certificate for localhost and its key, in PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// Starts a server that sends the same bytes in response to every request.
async fn server((certificate, key): &(String, String), answer: Vec<u8>) -> SocketAddr {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust the certificate closes the connection.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

/// Returns the `rosters` text of `status`, with this certificate as the only one that the system
/// trusts.
async fn rosters(url: &str, trusted: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    for bucket in ["ingestion", "own", "mailbox"] {
        std::fs::create_dir(folder.path().join(bucket)).unwrap();
    }
    let config = format!(
        "instance: us-ca-example\n\
         role: first\n\
         buckets: {{ ingestion: ingestion, own: own, peer-validation-in: mailbox }}\n\
         record-keys: [ {{ file: record.key }} ]\n\
         queues: {{ intake: queues/intake, aggregate: queues/aggregate }}\n\
         schedule: {{ period-minutes: 60, grace-minutes: 10, look-back-hours: 24, horizon-hours: 24 }}\n\
         roster: {{ since: 2999/01/01/00/00, peer: '{url}' }}\n"
    );
    let (file, certificates) = (
        folder.path().join("wm.yaml"),
        folder.path().join("trusted.pem"),
    );
    std::fs::write(&file, config).unwrap();
    let key = tallybox_transport::RecordKey::from_bytes(zeroize::Zeroizing::new([7; 32]));
    let record_key = folder.path().join("record.key");
    std::fs::write(&record_key, key.to_text()).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(
        &record_key,
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    std::fs::write(&certificates, trusted).unwrap();
    tokio::task::spawn_blocking(move || printed(&file, &certificates))
        .await
        .unwrap()
}

fn printed(config: &Path, certificates: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_workflow-manager"))
        .arg("--config")
        .arg(config)
        .args(["status", "--json"])
        .env("SSL_CERT_FILE", certificates)
        .env_remove("SSL_CERT_DIR")
        .env("NO_PROXY", "*")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    status["rosters"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_404_is_no_announcement() {
    let ours = certificate();
    let document = r#"{"format":1,"roster":{"since":"2999/01/01/00/00","until":null}}"#;
    let elsewhere = server(&ours, answer("200 OK", "", document)).await;
    let moved = format!("location: https://localhost:{}/\r\n", elsewhere.port());
    let too_long = format!("{document}{}", " ".repeat(1 << 20));
    for (answer, expected) in [
        (
            answer("200 OK", "", document),
            "used from 2999/01/01/00/00 on",
        ),
        (
            answer("404 Not Found", "", "none"),
            "the peer has no announcement",
        ),
        (answer("403 Forbidden", "", "no"), "cannot be read"),
        (answer("503 Service Unavailable", "", ""), "cannot be read"),
        // Only this server is trusted, so redirects are not followed.
        (answer("302 Found", &moved, ""), "cannot be read"),
        (
            answer("200 OK", "", "<html>Welcome</html>"),
            "cannot be read",
        ),
        (answer("200 OK", "", &too_long), "cannot be read"),
        (b"SSH-2.0-OpenSSH\r\n".to_vec(), "cannot be read"),
    ] {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
        let address = server(&ours, answer).await;
        let url = format!(
            "https://localhost:{}/us-ca-example-extensions.json",
            address.port()
        );
        let printed = rosters(&url, &ours.0).await;
        assert!(printed.contains(expected), "{shown}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_nobody_vouches_for_says_nothing() {
    let (ours, theirs) = (certificate(), certificate());
    let none = answer("404 Not Found", "", "none");
    let address = server(&theirs, none).await;
    let url = format!(
        "https://localhost:{}/us-ca-example-extensions.json",
        address.port()
    );
    let printed = rosters(&url, &ours.0).await;
    assert!(printed.contains("cannot be read"), "{printed}");
}
