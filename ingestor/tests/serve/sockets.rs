//! The server on its sockets: TLS and plain, HTTP/1.1 and HTTP/2, and shutdown.

use std::sync::Arc;
use std::time::Duration;

use tallybox_ingestor::config::TlsConfig;
use tallybox_ingestor::http::Server;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_transport::{SharedBucket, memory};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::world::*;

pub struct RunningServer {
    pub address: std::net::SocketAddr,
    pub operations: std::net::SocketAddr,
    pub spool: SharedBucket,
    pub shutdown: CancellationToken,
    pub task: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl RunningServer {
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

pub async fn start(change: impl FnOnce(&mut Ingestor, &std::path::Path)) -> RunningServer {
    let directory = files();
    let mut ingestor = open(&directory);
    ingestor.spool = memory("spool");
    change(&mut ingestor, directory.path());
    let spool = Arc::clone(&ingestor.spool);
    let server = Server::bind(Arc::new(ingestor)).await.unwrap();
    let shutdown = CancellationToken::new();
    RunningServer {
        address: server.address().unwrap(),
        operations: server.operations_address().unwrap(),
        spool,
        task: tokio::spawn(server.run(shutdown.clone())),
        shutdown,
        _directory: directory,
    }
}

pub fn fresh(index: u64) -> String {
    let mut report = report(index);
    report.created = None;
    report_json(&report)
}

pub fn head(length: usize) -> String {
    format!(
        "POST /v1/us-xx/reports HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
}

/// Reads until the received bytes contain the text.
pub async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(text) {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_follow_each_other_on_a_connection() {
    let running = start(|_, _| {}).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    for index in 0..3 {
        let body = fresh(index);
        stream.write_all(head(body.len()).as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        assert!(
            until(&mut stream, "\"accepted\"")
                .await
                .starts_with("HTTP/1.1 200")
        );
    }
    let mut operators = TcpStream::connect(running.operations).await.unwrap();
    for (path, expected) in [
        ("healthz", "ok"),
        ("readyz", "\"ready\":true"),
        ("metrics", "ingestor_connections 1"),
    ] {
        let request = format!("GET /{path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        operators.write_all(request.as_bytes()).await.unwrap();
        until(&mut operators, expected).await;
    }
    running.shutdown.cancel();
    running.task.await.unwrap();
    assert_eq!(slabs(&*running.spool).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_down_answers_everything_in_flight() {
    let running = start(|ingestor, _| ingestor.serve.slab_millis = 200).await;
    // One connection with half a body, one that waits for its slab, and one without a request.
    let body = fresh(0);
    let mut half = TcpStream::connect(running.address).await.unwrap();
    half.write_all(head(body.len()).as_bytes()).await.unwrap();
    half.write_all(&body.as_bytes()[..100]).await.unwrap();
    let other = fresh(1);
    let mut waiting = TcpStream::connect(running.address).await.unwrap();
    waiting
        .write_all(head(other.len()).as_bytes())
        .await
        .unwrap();
    waiting.write_all(other.as_bytes()).await.unwrap();
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    until(&mut idle, "200 OK").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.shutdown.cancel();
    // New connections are not accepted.
    while let Ok(mut late) = TcpStream::connect(running.address).await {
        if late.read(&mut [0; 1]).await.unwrap_or(0) == 0 {
            break;
        }
    }
    assert!(
        until(&mut waiting, "\"accepted\"")
            .await
            .starts_with("HTTP/1.1 200")
    );
    half.write_all(&body.as_bytes()[100..]).await.unwrap();
    assert!(
        until(&mut half, "\"accepted\"")
            .await
            .starts_with("HTTP/1.1 200")
    );
    running.task.await.unwrap();
    let stored: Vec<_> = slabs(&*running.spool)
        .await
        .into_values()
        .flatten()
        .collect();
    assert_eq!(stored.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_end_is_cut() {
    let running = start(|ingestor, _| ingestor.serve.drain_secs = 1).await;
    let mut half = TcpStream::connect(running.address).await.unwrap();
    half.write_all(head(1000).as_bytes()).await.unwrap();
    half.write_all(b"{").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), running.task)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(half.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

/// Writes a certificate for localhost and its key to files.
pub fn certificate(directory: &std::path::Path) -> (TlsConfig, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsConfig {
        certificates: directory.join("certificate.pem"),
        private_key: directory.join("certificate-key.pem"),
    };
    std::fs::write(&files.private_key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&files.certificates, made.cert.pem()).unwrap();
    (files, made.cert.pem())
}

fn browser(certificate: &str, address: std::net::SocketAddr) -> reqwest::ClientBuilder {
    let trusted = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([trusted])
        .no_proxy()
        .resolve("localhost", address)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_speaks_both_versions_and_takes_up_new_certificates() {
    let mut trusted = String::new();
    let mut files = None;
    let running = start(|ingestor, directory| {
        let (tls, pem) = certificate(directory);
        ingestor.serve.tls = Some(tls.clone());
        trusted = pem;
        files = Some(tls);
    })
    .await;
    let url = format!(
        "https://localhost:{}/v1/us-xx/reports",
        running.address.port()
    );
    let builders = [
        browser(&trusted, running.address).http1_only(),
        browser(&trusted, running.address).http2_prior_knowledge(),
    ];
    for (index, builder) in builders.into_iter().enumerate() {
        let client = builder.build().unwrap();
        let post = client.post(&url).header("content-type", "application/json");
        let answer = post.body(fresh(index as u64)).send().await.unwrap();
        let version = [reqwest::Version::HTTP_11, reqwest::Version::HTTP_2][index];
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    }
    let (_, renewed) = certificate(files.unwrap().certificates.parent().unwrap());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let client = browser(&renewed, running.address).build().unwrap();
        if client.get(&url).send().await.is_ok() {
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "the new certificate is not served"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running.shutdown.cancel();
    running.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_two_lengths_are_refused() {
    let running = start(|_, _| {}).await;
    let body = fresh(0);
    let length = format!("content-length: {}\r\n", body.len());
    let chunked = "transfer-encoding: chunked\r\n";
    for fields in [format!("{length}{chunked}"), format!("{chunked}{length}")] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let request = format!(
            "POST /v1/us-xx/reports HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{fields}\r\n\
             {:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = until(&mut stream, "send one of them").await;
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains("connection: close"),
            "{answer}"
        );
    }
    assert!(slabs(&*running.spool).await.is_empty());
    running.stop().await;
}
