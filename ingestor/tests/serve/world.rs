//! A server over an in-memory bucket, with a clock that the test sets, and reports to post.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures::TryStreamExt as _;
use http_body_util::BodyExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};
use tallybox_client::ProcessorKey;
use tallybox_client::traffic::{Metric, Traffic};
use tallybox_crypto::{IngestorSecret, PacketPrivateKey, SigningKey};
use tallybox_ingestor::attestation::{AttestedKey, Refusal, Verifier};
use tallybox_ingestor::config::Config;
use tallybox_ingestor::http::App;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::avro::{
    ContainerReader, ContainerWriter, FileLimits, RecordKind, RecordReader,
};
use tallybox_model::client_config::AttestationPolicy;
use tallybox_model::report::json::JsonReport;
use tallybox_model::report::{Problem, ReportResult, ReportUpload, ReportsAnswer, StoredReport};
use tallybox_model::spool::SlabName;
use tallybox_service::clock::Clock;
use tallybox_service::config::load;
use tallybox_transport::{Bucket, ListRange, SharedBucket, TRAILER_BYTES, memory, read_all};
use tempfile::TempDir;
use tower::ServiceExt as _;

pub const LOCALITY: &str = "us-xx";
/// The packet keys of metrics with 5 bins, such as [`NOTIFIED`].
pub const KEYS: [&str; 2] = ["first-1", "second-1"];
/// The packet keys of metrics with 6 bins, such as [`CODES`].
pub const SIX_BIN_KEYS: [&str; 2] = ["first-six", "second-six"];
/// The previous packet keys for 5 bins, which are still accepted.
pub const OLD_KEYS: [&str; 2] = ["first-0", "second-0"];
pub const NOTIFIED: &str = "PeriodicExposureNotification-v1";
pub const CODES: &str = "CodeVerified-v1";
/// 2026-11-23T10:20:00Z.
pub const NOW: i64 = 1_795_429_200_000;
pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;

const CONFIG: &str = "
ingestor: ingestor
spool: 'memory:'
registry: registry.yaml
batch-signing-key: { id: batch-1, file: sign }
client-config-key: { id: config-1, file: sign-config }
secrets: [{ file: secret }]
serve:
  listen: 127.0.0.1:0
  operations: 127.0.0.1:0
  slab-millis: 5
acceptance: { per-network-per-minute: 0, per-key-per-minute: 0 }
manifest: { gcp-service-account-email: writer@example.org, signing-key-expiration: 2027-01-01T00:00:00Z }
localities:
  us-xx:
    attestation: none
    packet-keys:
      - { bins: 5, first: { id: first-1, file: first-1 }, second: { id: second-1, file: second-1 } }
      - { bins: 5, first: { id: first-0, file: first-0 }, second: { id: second-0, file: second-0 } }
      - { bins: 6, first: { id: first-six, file: first-six }, second: { id: second-six, file: second-six } }
    first-mailbox: 'memory:'
    second-mailbox: 'memory:'
";

pub const REGISTRY: &str = "
version: 3
metrics:
  PeriodicExposureNotification-v1:
    state: accept
    encoding: { kind: histogram, bins: 5 }
    epsilon: 8.0
    cadence-hours: 24
  CodeVerified-v1:
    state: drain
    encoding: { kind: bit-vector, bins: 6 }
    epsilon: 8.0
    cadence-hours: 24
  SameShape-v1:
    state: accept
    encoding: { kind: histogram, bins: 5 }
    epsilon: 8.0
    cadence-hours: 24
  Old-v1:
    state: closed
    encoding: { kind: histogram, bins: 5 }
    epsilon: 8.0
    cadence-hours: 24
";

/// A server without sockets.
pub struct World {
    pub directory: TempDir,
    pub spool: SharedBucket,
    pub clock: Clock,
    pub app: Arc<App>,
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Returns the packet key with this id.
fn packet_key(id: &str) -> PacketPrivateKey {
    let seed = id
        .bytes()
        .fold(100, |seed, byte| 31 * seed + u64::from(byte));
    PacketPrivateKey::generate(&mut rng(seed))
}

pub fn config_key() -> SigningKey {
    SigningKey::generate(&mut rng(201))
}

/// Writes the files of a configuration.
pub fn files() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        // The program requires that only the owner can read secrets; other files may have the same
        // mode.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    for names in [KEYS, OLD_KEYS, SIX_BIN_KEYS] {
        for name in names {
            write(name, &packet_key(name).public().to_x962_base64());
        }
    }
    write(
        "sign",
        SigningKey::generate(&mut rng(200))
            .to_pkcs8_base64()
            .as_str(),
    );
    write("sign-config", config_key().to_pkcs8_base64().as_str());
    write(
        "secret",
        IngestorSecret::generate(&mut rng(300)).to_base64().as_str(),
    );
    write("registry.yaml", REGISTRY);
    write("ingestor.yaml", CONFIG);
    directory
}

pub fn open(directory: &TempDir) -> Ingestor {
    let config = load::<Config>(&directory.path().join("ingestor.yaml")).unwrap();
    Ingestor::open(&config).unwrap()
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// Creates a server with a changed configuration.
    pub async fn with(change: impl FnOnce(&mut Ingestor)) -> Self {
        let directory = files();
        let mut ingestor = open(&directory);
        let clock = Clock::manual(NOW);
        ingestor.spool = memory("spool");
        ingestor.clock = clock.clone();
        change(&mut ingestor);
        let spool = Arc::clone(&ingestor.spool);
        let app = App::start(Arc::new(ingestor)).await.unwrap();
        Self {
            directory,
            spool,
            clock,
            app,
        }
    }

    pub async fn attested(policy: AttestationPolicy) -> Self {
        Self::with(|ingestor| {
            let locality = ingestor.localities.get_mut(LOCALITY).unwrap();
            locality.attestation = policy;
            locality.verifier = Some(Arc::new(TestVerifier));
        })
        .await
    }

    pub async fn call(&self, request: Request<Body>) -> HttpAnswer {
        HttpAnswer::read(self.app.router().oneshot(request).await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> HttpAnswer {
        self.call(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    pub async fn ready(&self) -> HttpAnswer {
        let request = Request::get("/readyz").body(Body::empty()).unwrap();
        HttpAnswer::read(self.app.operations().oneshot(request).await.unwrap()).await
    }

    pub async fn post(&self, body: impl Into<Body>, headers: &[(&str, &str)]) -> HttpAnswer {
        self.call(post_to(LOCALITY, body, headers)).await
    }

    /// Posts one report as JSON.
    pub async fn post_report(&self, report: &ReportUpload) -> HttpAnswer {
        self.post(report_json(report), JSON).await
    }

    /// Posts a list of reports as JSON.
    pub async fn post_many(&self, reports: &[ReportUpload]) -> HttpAnswer {
        self.post(many(reports), JSON).await
    }

    /// Returns the value of a metric.
    pub fn count(&self, line: &str) -> u64 {
        let text = self.app.metrics.text();
        let value = text
            .lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("{line} in {text}"))
            .parse()
            .unwrap()
    }

    /// Returns all slabs with the report ids in them.
    pub async fn slabs(&self) -> BTreeMap<String, Vec<String>> {
        slabs(&*self.spool).await
    }

    /// Returns the report ids in all slabs, sorted, including repeated ones.
    pub async fn stored(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.slabs().await.into_values().flatten().collect();
        ids.sort();
        ids
    }
}

pub async fn slabs(spool: &dyn Bucket) -> BTreeMap<String, Vec<String>> {
    let listed = spool.list("", ListRange::default()).await.unwrap();
    let keys: Vec<_> = listed
        .map_ok(|entry| entry.key)
        .try_collect()
        .await
        .unwrap();
    let mut slabs = BTreeMap::new();
    for key in keys.into_iter().filter(|key| key.ends_with(".slab")) {
        let bytes = read_all(spool, &key, 1 << 30).await.unwrap();
        slabs.insert(key, ids(&bytes.slice(..bytes.len() - TRAILER_BYTES)));
    }
    slabs
}

fn ids(slab: &Bytes) -> Vec<String> {
    let limits = FileLimits::default();
    let mut reader = ContainerReader::open(&slab[..], &limits).unwrap();
    let mut ids = Vec::new();
    while let Some(block) = reader.next_block().unwrap() {
        for report in RecordReader::<StoredReport<'_>>::new(&block, reader.schema(), &limits) {
            ids.push(report.unwrap().id.to_owned());
        }
    }
    ids
}

/// Returns the start of the window in a slab's name.
pub fn window(key: &str) -> String {
    let names =
        tallybox_model::spool::SpoolNames::new(format!("{LOCALITY}-ingestor").parse().unwrap());
    match names.parse_slab(key).unwrap() {
        SlabName::Received { window, .. } => window.to_string(),
        other => panic!("{other:?}"),
    }
}

pub const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
pub const AVRO: &[(&str, &str)] = &[("content-type", "avro/binary")];

pub fn post_to(locality: &str, body: impl Into<Body>, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::post(format!("/v1/{locality}/reports"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

/// An answer of the server.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl HttpAnswer {
    pub async fn read(response: Response) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the name of the problem that answers the whole request.
    #[track_caller]
    pub fn problem(&self) -> &'static str {
        assert_eq!(
            self.header(header::CONTENT_TYPE.as_str()),
            "application/problem+json",
            "{self:?}"
        );
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        let kind = problem.known().unwrap();
        assert_eq!(
            (problem.title.as_str(), problem.next.as_str()),
            (kind.title(), kind.next())
        );
        assert!(!problem.detail.is_empty());
        kind.name()
    }

    /// Returns the result for the only report.
    #[track_caller]
    pub fn result(&self) -> ReportResult {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the result for each report: `accepted`, `alreadyAccepted`, or the name of the
    /// problem.
    #[track_caller]
    pub fn results(&self) -> Vec<String> {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        let answer: ReportsAnswer = serde_json::from_slice(&self.body).unwrap();
        let rejected = answer
            .results
            .iter()
            .filter(|result| result.problem.is_some())
            .count();
        assert_eq!(answer.rejected, rejected as u64);
        assert_eq!(
            answer.accepted + answer.rejected,
            answer.results.len() as u64
        );
        answer.results.iter().map(outcome).collect()
    }
}

pub fn outcome(result: &ReportResult) -> String {
    match &result.problem {
        Some(problem) => problem.known().unwrap().name().to_owned(),
        None => serde_json::to_value(result.status)
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned(),
    }
}

pub fn report_json(report: &ReportUpload) -> String {
    serde_json::to_string(&JsonReport::from(report.clone())).unwrap()
}

pub fn value(report: &ReportUpload) -> Value {
    serde_json::to_value(JsonReport::from(report.clone())).unwrap()
}

pub fn many(reports: &[ReportUpload]) -> String {
    json!({"reports": reports.iter().map(value).collect::<Vec<_>>()}).to_string()
}

pub fn avro(reports: &[ReportUpload]) -> Vec<u8> {
    let mut writer = ContainerWriter::new(Vec::new(), RecordKind::ReportUpload, [7; 16]);
    for report in reports {
        writer.append(report).unwrap();
    }
    writer.finish().unwrap()
}

/// Returns reports of a metric, created now.
pub fn reports(metric: &str, range: std::ops::Range<u64>) -> Vec<ReportUpload> {
    let metric = Metric::named(metric).unwrap();
    let key_ids = if metric.bins() == 6 {
        SIX_BIN_KEYS
    } else {
        KEYS
    };
    let processors = key_ids.map(|id| ProcessorKey {
        key_id: Some(id.to_owned()),
        public: *packet_key(id).public(),
    });
    let traffic = Traffic::new(1, metric, processors.to_vec(), None).unwrap();
    range
        .map(|index| {
            let report = traffic.packet(index).unwrap().report;
            let [first, second] = <[_; 2]>::try_from(report.shares).unwrap();
            ReportUpload {
                metric: metric.name.to_owned(),
                id: report.id.to_string(),
                created: Some(NOW),
                schema_version: 2,
                bins: metric.bins() as i32,
                epsilon: 8.0,
                prime: tallybox_model::header::PRIME,
                number_of_servers: 2,
                hamming_weight: None,
                key_id_first: key_ids[0].to_owned(),
                payload_first: first.payload,
                key_id_second: key_ids[1].to_owned(),
                payload_second: second.payload,
                signature: None,
                certificate_chain: Vec::new(),
            }
        })
        .collect()
}

pub fn report(index: u64) -> ReportUpload {
    reports(NOTIFIED, index..index + 1).remove(0)
}

/// A verifier of attestations that anyone can create: they state metric, day, id and the name of
/// the key.
#[derive(Debug)]
pub struct TestVerifier;

fn day(now: i64) -> i64 {
    now.div_euclid(24 * HOUR)
}

fn statement(report: &ReportUpload, day: i64) -> Vec<u8> {
    let payloads = report
        .payloads()
        .map(tallybox_model::report::ciphertext_digest);
    format!("{}|{day}|{}|{payloads:?}", report.metric, report.id).into_bytes()
}

pub fn attest(mut report: ReportUpload, key: u8, now: i64) -> ReportUpload {
    report.signature = Some(statement(&report, day(now)));
    report.certificate_chain = vec![vec![key].into()];
    report
}

impl Verifier for TestVerifier {
    fn verify(&self, report: &ReportUpload, now: i64) -> Result<AttestedKey, Refusal> {
        let attestation = report.attestation().unwrap();
        let refusal = |reason| Refusal {
            reason,
            detail: "it does not hold".to_owned(),
        };
        let key = attestation.chain.first().ok_or_else(|| refusal("chain"))?;
        if attestation.signature != statement(report, day(now)) {
            return Err(refusal("signature"));
        }
        let day = day(now);
        Ok(AttestedKey {
            key: [key[0]; 16],
            day,
        })
    }

    fn key_minutes(&self) -> u64 {
        24 * 60
    }
}
