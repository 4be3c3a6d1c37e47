//! An ingestor for tests that serves given configurations and responds according to a script.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    unreachable_pub,
    missing_docs
)]

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, header};
use axum::routing::{get, post};
use flate2::read::GzDecoder;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use tallybox_client::config::Trust;
use tallybox_client::post::{Backoff, Options, Reporter};
use tallybox_client::{Address, ClientClock, Timeouts};
use tallybox_crypto::{PacketPrivateKey, SigningKey, jws};
use tallybox_model::avro::{ContainerReader, FileLimits, RecordReader};
use tallybox_model::client_config::{
    AttestationPolicy, CLIENT_CONFIG_TYPE, ClientConfig, ClientKey, ClientLimits, ClientMetric,
};
use tallybox_model::header::PRIME;
use tallybox_model::registry::{EncodingKind, MetricEncoding};
use tallybox_model::report::json::{JsonReport, JsonReports};
use tallybox_model::report::{ProblemKind, ReportResult, ReportUpload, ReportsAnswer};

pub const LOCALITY: &str = "us-ca";
pub const KEY_ID: &str = "config-1";
pub const NOW: &str = "2026-11-23T10:15:00Z";

/// The response to the next post.
#[derive(Clone)]
pub enum Script {
    /// A problem for the whole post, with an optional `Retry-After`.
    Problem(ProblemKind, Option<&'static str>),
    /// A separate problem for every report of the post.
    EachProblem(ProblemKind),
    /// Accepts the reports, and breaks the connection in the middle of the response.
    LoseAnswer,
    /// Never responds.
    Hang,
    /// A response from another server.
    Raw(u16, &'static str),
}

#[derive(Default)]
pub struct World {
    pub document: Vec<u8>,
    pub etag: String,
    pub cache_control: String,
    pub config_status: Option<u16>,
    pub config_requests: Vec<Option<String>>,
    pub script: VecDeque<Script>,
    /// Current keys; reports that are sealed to other keys are outdated.
    pub keys: Vec<String>,
    pub most_reports: Option<usize>,
    pub posts: Vec<Vec<ReportUpload>>,
    pub media: Vec<String>,
    pub accepted: BTreeMap<String, ReportUpload>,
}

#[derive(Clone, Default)]
pub struct FakeIngestor {
    world: Arc<Mutex<World>>,
    address: String,
}

pub fn signing_key(seed: u64) -> SigningKey {
    SigningKey::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

pub fn packet_keys(seed: u64) -> [PacketPrivateKey; 2] {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    [(); 2].map(|()| PacketPrivateKey::generate(&mut rng))
}

/// Returns the keys of a generation for this number of bins: `first-BINS-N` and `second-BINS-N`.
pub fn client_keys(bins: u32, generation: u64) -> [ClientKey; 2] {
    let [first, second] = packet_keys(1000 * generation + u64::from(bins));
    [("first", first), ("second", second)].map(|(name, key)| ClientKey {
        encryption_key_id: format!("{name}-{bins}-{generation}"),
        public_key: key.public().to_x962_base64(),
        bins,
    })
}

pub fn trust() -> Trust {
    Trust {
        locality: LOCALITY.to_owned(),
        keys: [(KEY_ID.to_owned(), signing_key(1).verifying_key())].into(),
        max_epsilon: 8.0,
    }
}

pub fn metric(name: &str, kind: EncodingKind, bins: u32, generation: u64) -> ClientMetric {
    ClientMetric {
        name: name.to_owned(),
        encoding: MetricEncoding {
            kind,
            bins,
            labels: Vec::new(),
            groups: Vec::new(),
            bits: None,
        },
        epsilon: 8.0,
        prime: PRIME,
        number_servers: 2,
        hamming_weight: None,
        cadence_hours: 24,
        sampling: 1.0,
        processors: client_keys(bins, generation),
    }
}

/// Returns a configuration with the packet keys of this generation.
pub fn config(generation: u64) -> ClientConfig {
    ClientConfig {
        format: ClientConfig::FORMAT,
        locality: LOCALITY.to_owned(),
        ingestor: "test".to_owned(),
        issued: "2026-11-23T10:00:00Z".to_owned(),
        expires: "2026-11-30T10:00:00Z".to_owned(),
        registry_version: generation,
        schema_version: 2,
        metrics: vec![
            metric("bucket-v1", EncodingKind::Histogram, 5, generation),
            metric("bits-v1", EncodingKind::BitVector, 3, generation),
            metric("number-v1", EncodingKind::BoundedInteger, 6, generation),
        ],
        limits: ClientLimits {
            max_body_bytes: 1 << 20,
            max_reports: 100,
            max_age_seconds: 172_800,
            max_ahead_seconds: 900,
        },
        attestation: AttestationPolicy::None,
    }
}

pub fn signed(config: &ClientConfig) -> Vec<u8> {
    let payload = serde_json::to_vec(config).unwrap();
    jws::sign(&payload, CLIENT_CONFIG_TYPE, KEY_ID, &signing_key(1)).unwrap()
}

/// Returns options that fail fast.
pub fn options() -> Options {
    let mut options = Options::default();
    options.deadline = Duration::from_secs(20);
    options.backoff = Backoff {
        first: Duration::from_millis(1),
        cap: Duration::from_millis(2),
    };
    options.timeouts = Timeouts {
        connect: Duration::from_secs(5),
        request: Duration::from_secs(10),
    };
    options.clock = ClientClock::new(|| NOW.parse().unwrap());
    options
}

impl FakeIngestor {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ingestor = Self {
            world: Arc::default(),
            address: format!("http://{}", listener.local_addr().unwrap()),
        };
        ingestor.serve_config(&config(1), "\"1\"");
        let router = Router::new()
            .route("/v1/us-ca/config", get(serve_config))
            .route("/v1/us-ca/reports", post(post_reports))
            .with_state(Arc::clone(&ingestor.world));
        tokio::spawn(async move { axum::serve(listener, router).await });
        ingestor
    }

    pub fn address(&self) -> Address {
        self.address.parse().unwrap()
    }

    pub fn url(&self) -> &str {
        &self.address
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn script(&self, script: impl IntoIterator<Item = Script>) {
        self.world().script.extend(script);
    }

    pub fn reporter(&self) -> Reporter {
        Reporter::new(&self.address(), trust(), options()).unwrap()
    }

    /// Serves this configuration, and accepts only reports that are sealed to its keys.
    pub fn serve_config(&self, config: &ClientConfig, etag: &str) {
        let mut world = self.world();
        world.document = signed(config);
        world.etag = etag.to_owned();
        let keys = config.metrics.iter().flat_map(|metric| &metric.processors);
        world.keys = keys.map(|key| key.encryption_key_id.clone()).collect();
    }
}

async fn serve_config(
    State(world): State<Arc<Mutex<World>>>,
    headers: HeaderMap,
) -> Response<Body> {
    let mut world = world.lock().unwrap();
    let etag_sent = headers
        .get(header::IF_NONE_MATCH)
        .map(|value| value.to_str().unwrap().to_owned());
    world.config_requests.push(etag_sent.clone());
    let mut response = Response::builder().header(header::ETAG, &world.etag);
    if !world.cache_control.is_empty() {
        response = response.header(header::CACHE_CONTROL, &world.cache_control);
    }
    if let Some(status) = world.config_status {
        return response.status(status).body(Body::empty()).unwrap();
    }
    if etag_sent.as_ref() == Some(&world.etag) {
        return response.status(304).body(Body::empty()).unwrap();
    }
    response
        .header(header::CONTENT_TYPE, "application/jose+json")
        .body(Body::from(world.document.clone()))
        .unwrap()
}

async fn post_reports(
    State(world): State<Arc<Mutex<World>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let media = headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let packed = headers.contains_key(header::CONTENT_ENCODING);
    let (reports, single) = read(&media, packed, &body);
    let script = {
        let mut world = world.lock().unwrap();
        world.posts.push(reports.clone());
        world.media.push(if packed {
            format!("{media} gzip")
        } else {
            media
        });
        world.script.pop_front()
    };
    match script {
        None => {
            let mut world = world.lock().unwrap();
            if world.most_reports.is_some_and(|most| reports.len() > most) {
                return problem(ProblemKind::TooLarge, None);
            }
            let results = world.accept(reports);
            answer(results, single)
        }
        Some(Script::Problem(kind, after)) => problem(kind, after),
        Some(Script::EachProblem(kind)) => {
            let results = reports
                .into_iter()
                .map(|report| ReportResult::rejected(report.id, kind, "by the script"));
            answer(results.collect(), single)
        }
        Some(Script::LoseAnswer) => {
            world.lock().unwrap().accept(reports);
            let parts = [
                Ok(Bytes::from_static(b"{\"uu")),
                Err(io::Error::other("broken")),
            ];
            Response::new(Body::from_stream(futures::stream::iter(parts)))
        }
        Some(Script::Hang) => std::future::pending().await,
        Some(Script::Raw(status, text)) => Response::builder()
            .status(status)
            .body(Body::from(text))
            .unwrap(),
    }
}

fn read(media: &str, packed: bool, body: &[u8]) -> (Vec<ReportUpload>, bool) {
    let mut plain = Vec::new();
    if packed {
        GzDecoder::new(body).read_to_end(&mut plain).unwrap();
    } else {
        plain.extend_from_slice(body);
    }
    if media == "avro/binary" {
        let limits = FileLimits::default();
        let mut reader = ContainerReader::open(&plain[..], &limits).unwrap();
        let mut reports = Vec::new();
        while let Some(block) = reader.next_block().unwrap() {
            reports.extend(
                RecordReader::<ReportUpload>::new(&block, reader.schema(), &limits)
                    .map(Result::unwrap),
            );
        }
        return (reports, false);
    }
    assert_eq!(media, "application/json");
    let upload = |report: JsonReport| ReportUpload::try_from(report).unwrap();
    match serde_json::from_slice::<JsonReports>(&plain) {
        Ok(many) => (many.reports.into_iter().map(upload).collect(), false),
        Err(_) => (vec![upload(serde_json::from_slice(&plain).unwrap())], true),
    }
}

impl World {
    /// Accepts reports with the same visible behaviour as an ingestor.
    fn accept(&mut self, reports: Vec<ReportUpload>) -> Vec<ReportResult> {
        let accept_report = |report: ReportUpload| {
            if !report
                .key_ids()
                .iter()
                .all(|key| self.keys.iter().any(|current| current == key))
            {
                return ReportResult::rejected(report.id, ProblemKind::OutdatedKey, "not in use");
            }
            if report.metric == "unheardOf-v1" {
                return ReportResult::rejected(
                    report.id,
                    ProblemKind::UnknownMetric,
                    "not in the registry",
                );
            }
            if report.epsilon != 8.0 {
                return ReportResult::rejected(
                    report.id,
                    ProblemKind::ParameterMismatch,
                    "epsilon",
                );
            }
            if report.schema_version != 2 {
                return ReportResult::rejected(report.id, ProblemKind::SchemaVersion, "99");
            }
            match self.accepted.insert(report.id.clone(), report.clone()) {
                Some(before) => {
                    assert_eq!(
                        before.payloads(),
                        report.payloads(),
                        "the same id, the same report"
                    );
                    ReportResult::accepted(report.id, true)
                }
                None => ReportResult::accepted(report.id, false),
            }
        };
        reports.into_iter().map(accept_report).collect()
    }
}

fn problem(kind: ProblemKind, after: Option<&str>) -> Response<Body> {
    let mut response = Response::builder()
        .status(kind.status())
        .header(header::CONTENT_TYPE, "application/problem+json");
    if let Some(after) = after {
        response = response.header(header::RETRY_AFTER, after);
    }
    let body = serde_json::to_vec(&kind.problem("by the script")).unwrap();
    response.body(Body::from(body)).unwrap()
}

fn answer(mut results: Vec<ReportResult>, single: bool) -> Response<Body> {
    if !single {
        let answer: ReportsAnswer = results.into_iter().collect();
        return Response::new(Body::from(serde_json::to_vec(&answer).unwrap()));
    }
    let result = results.remove(0);
    match result.problem {
        None => Response::new(Body::from(serde_json::to_vec(&result).unwrap())),
        Some(rejection) => {
            let kind = ProblemKind::named(&rejection.kind).unwrap();
            problem(kind, None)
        }
    }
}
