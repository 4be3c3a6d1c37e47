//! An ingestor over in-memory buckets, with a clock that the test sets, and reports to batch.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures::TryStreamExt;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use tallybox_client::traffic::{Metric, Traffic};
use tallybox_client::{ProcessorKey, Report};
use tallybox_crypto::{IngestorSecret, PacketPrivateKey, SigningKey};
use tallybox_ingestor::batch::{BatchOptions, BatcherSummary, batch};
use tallybox_ingestor::config::Config;
use tallybox_ingestor::error::Error;
use tallybox_ingestor::ingestor::{Ingestor, Locality};
use tallybox_model::avro::{
    ContainerReader, ContainerWriter, FileLimits, RecordKind, RecordReader, decode_one,
};
use tallybox_model::digest::Digest;
use tallybox_model::header::IngestionHeader;
use tallybox_model::packet::DataSharePacket;
use tallybox_model::path::BatchName;
use tallybox_model::report::StoredReport;
use tallybox_model::signature::BatchSignature;
use tallybox_model::spool::SlabName;
use tallybox_model::time::BatchTime;
use tallybox_service::clock::Clock;
use tallybox_service::config::load;
use tallybox_transport::{Bucket, ListRange, SharedBucket, memory, read_all};
use tempfile::TempDir;

pub const LOCALITY: &str = "us-xx";
/// The packet keys of metrics with 5 bins, such as [`NOTIFIED`].
pub const KEYS: [&str; 2] = ["first-1", "second-1"];
/// The packet keys of metrics with 6 bins, such as [`CODES`].
pub const SIX_BIN_KEYS: [&str; 2] = ["first-six", "second-six"];

/// Buckets, keys and clock of an ingestor. A test may open the ingestor repeatedly, like a program
/// that restarts.
pub struct World {
    pub directory: TempDir,
    pub spool: SharedBucket,
    pub mailboxes: [SharedBucket; 2],
    pub clock: Clock,
    pub secrets: Vec<IngestorSecret>,
    number: std::sync::atomic::AtomicU64,
}

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Returns the packet key of a processor for this many bins.
pub fn packet_key(side: usize, bins: usize) -> PacketPrivateKey {
    PacketPrivateKey::generate(&mut rng(100 + 10 * bins as u64 + side as u64))
}

/// Returns the ids of the packet keys for this many bins.
pub fn key_ids(bins: usize) -> [&'static str; 2] {
    if bins == 6 { SIX_BIN_KEYS } else { KEYS }
}

pub fn signing_key() -> SigningKey {
    SigningKey::generate(&mut rng(200))
}

pub fn time(text: &str) -> BatchTime {
    text.parse().unwrap()
}

/// Writes a file that only its owner can read, as the program requires for secrets.
pub fn write_private(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Start of the first window in all tests.
pub const START: &str = "2026/11/23/10/00";

impl World {
    pub fn new() -> Self {
        Self::over(memory("spool"), [memory("first"), memory("second")])
    }

    pub fn over(spool: SharedBucket, mailboxes: [SharedBucket; 2]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for bins in [5, 6] {
            for (side, name) in key_ids(bins).into_iter().enumerate() {
                std::fs::write(at(name), packet_key(side, bins).public().to_x962_base64()).unwrap();
            }
        }
        let secret = IngestorSecret::generate(&mut rng(300));
        write_private(&at("sign"), &signing_key().to_pkcs8_base64());
        let config_key = SigningKey::generate(&mut rng(201));
        write_private(&at("sign-config"), &config_key.to_pkcs8_base64());
        write_private(&at("secret"), &secret.to_base64());
        std::fs::write(at("registry.yaml"), REGISTRY).unwrap();
        std::fs::write(at("ingestor.yaml"), CONFIG).unwrap();
        Self {
            directory,
            spool,
            mailboxes,
            clock: Clock::manual(time(START).millis()),
            secrets: vec![secret],
            number: 0.into(),
        }
    }

    /// Fills two windows that are due, with replays, and with a metric that is carried over into
    /// the second window and cut there. Returns every report once.
    pub async fn with_two_windows(self) -> (Self, Vec<Stored>) {
        let (many, few, more) = (
            reports(NOTIFIED, 0..25),
            reports(CODES, 0..3),
            reports(CODES, 3..6),
        );
        let slabs = [
            (START, [many[..15].to_vec(), few.clone()].concat()),
            (START, [many[10..].to_vec(), few[..1].to_vec()].concat()),
            (
                "2026/11/23/11/20",
                [more.clone(), many[..2].to_vec()].concat(),
            ),
        ];
        for (start, reports) in slabs {
            self.slab(time(start), &reports).await;
        }
        self.at(125);
        (self, [many, few, more].concat())
    }

    /// Opens the ingestor as a program does at start.
    pub fn ingestor(&self) -> Ingestor {
        self.ingestor_over(Arc::clone(&self.spool), self.mailboxes.clone())
    }

    pub fn ingestor_over(&self, spool: SharedBucket, mailboxes: [SharedBucket; 2]) -> Ingestor {
        let config = load::<Config>(&self.directory.path().join("ingestor.yaml")).unwrap();
        let mut ingestor = Ingestor::open(&config).unwrap();
        ingestor.spool = spool;
        ingestor.clock = self.clock.clone();
        ingestor.secrets = self.secrets.clone();
        ingestor.records = self.records();
        ingestor.batches.min_packets = 5;
        ingestor.batches.max_packets = 20;
        ingestor.batches.partition_bytes = 4000;
        ingestor.batches.write_tries = 1;
        for locality in ingestor.localities.values_mut() {
            locality.mailboxes = mailboxes.clone();
        }
        ingestor
    }

    /// Writes a slab of these reports in the window that contains `when`.
    pub async fn slab(&self, when: BatchTime, reports: &[Stored]) -> String {
        let number = self
            .number
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let name = SlabName::Received {
            window: tallybox_model::time::aligned_window(when, 60)
                .unwrap()
                .start(),
            replica: 7,
            number,
        };
        let key = names().slab(&name);
        self.records()
            .create(&*self.spool, &key, &slab_bytes(reports))
            .await
            .unwrap();
        key
    }

    /// Returns the record keys of the spool.
    pub fn records(&self) -> tallybox_transport::Records {
        tallybox_ingestor::ingestor::records(&self.secrets, "ingestor").unwrap()
    }

    /// Sets the clock to this many minutes after the start of the first window.
    pub fn at(&self, minutes: i64) {
        self.clock.set(time(START).millis() + minutes * 60_000);
    }

    /// Batches all windows that are due, as one run of the program.
    pub async fn batch(&self) -> Result<BatcherSummary, Error> {
        self.batch_with(&self.ingestor(), &BatchOptions::default())
            .await
    }

    pub async fn batch_with(
        &self,
        ingestor: &Ingestor,
        options: &BatchOptions,
    ) -> Result<BatcherSummary, Error> {
        batch(ingestor, &ingestor.localities[LOCALITY], options).await
    }

    /// Returns all objects in both mailboxes and the spool, for comparison.
    pub async fn snapshot(&self) -> BTreeMap<String, Bytes> {
        let mut all = BTreeMap::new();
        for (label, bucket) in [
            ("spool", &self.spool),
            ("0", &self.mailboxes[0]),
            ("1", &self.mailboxes[1]),
        ] {
            for key in keys(&**bucket).await {
                let bytes = read_all(&**bucket, &key, 1 << 30).await.unwrap();
                all.insert(format!("{label}/{key}"), bytes);
            }
        }
        all
    }

    /// Returns only the objects in the mailboxes.
    pub async fn published(&self) -> BTreeMap<String, Bytes> {
        let mut all = self.snapshot().await;
        all.retain(|key, _| !key.starts_with("spool/"));
        all
    }

    /// Returns each processor's packets: the sealed shares in complete, signed batches, and how
    /// often each occurs. Also asserts what a processor verifies: names, signatures, digests, and
    /// packet ids that match between the processors.
    pub async fn batched(&self) -> Batched {
        let mut sides = Vec::new();
        for (side, mailbox) in self.mailboxes.iter().enumerate() {
            sides.push(read_side(&**mailbox, side).await);
        }
        let second = sides.pop().unwrap();
        let first = sides.pop().unwrap();
        let shape = |side: &BTreeMap<BatchName, Vec<Packet>>| -> Vec<(BatchName, Vec<String>)> {
            let ids =
                |packets: &Vec<Packet>| packets.iter().map(|packet| packet.id.clone()).collect();
            side.iter()
                .map(|(name, packets)| (name.clone(), ids(packets)))
                .collect()
        };
        assert_eq!(
            shape(&first),
            shape(&second),
            "both processors get the same packets in the same order"
        );
        Batched { first, second }
    }
}

/// A packet as a processor reads it.
#[derive(Clone, Debug)]
pub struct Packet {
    pub id: String,
    pub payload: Vec<u8>,
    pub point: i64,
    pub key: Option<String>,
}

pub struct Batched {
    pub first: BTreeMap<BatchName, Vec<Packet>>,
    pub second: BTreeMap<BatchName, Vec<Packet>>,
}

impl Batched {
    /// Returns how often each first share was batched.
    pub fn counts(&self) -> BTreeMap<Vec<u8>, usize> {
        let mut counts = BTreeMap::new();
        for packet in self.first.values().flatten() {
            *counts.entry(packet.payload.clone()).or_default() += 1;
        }
        counts
    }

    /// Asserts that exactly these reports were batched, once each, both shares under one id.
    pub fn assert_exactly(&self, reports: &[Stored]) {
        let wanted: BTreeSet<_> = reports
            .iter()
            .map(|report| report.payloads.clone())
            .collect();
        let pairs: Vec<_> = self
            .first
            .values()
            .flatten()
            .zip(self.second.values().flatten())
            .map(|(first, second)| [first.payload.clone(), second.payload.clone()])
            .collect();
        let found: BTreeSet<_> = pairs.iter().cloned().collect();
        assert_eq!(found.len(), pairs.len(), "nothing is there twice");
        assert_eq!(found.len(), wanted.len(), "as many as were given");
        assert!(found == wanted, "exactly those that were given");
    }
}

async fn read_side(mailbox: &dyn Bucket, side: usize) -> BTreeMap<BatchName, Vec<Packet>> {
    let mut batches = BTreeMap::new();
    let all = keys(mailbox).await;
    for key in &all {
        let Some(name) = BatchName::from_ingestion_signature(key) else {
            continue;
        };
        let objects = name.ingestion();
        let read = async |key: &str| read_all(mailbox, key, 1 << 30).await.unwrap();
        let header = read(&objects.header).await;
        let signature: BatchSignature =
            decode_one(&read(key).await, &FileLimits::default()).unwrap();
        let verified = signing_key()
            .verifying_key()
            .verify(&header, &signature.batch_header_signature);
        verified.expect("the batch verifies");
        let parsed: IngestionHeader = decode_one(&header, &FileLimits::default()).unwrap();
        assert_eq!(parsed.batch_uuid, name.id);
        assert_eq!(parsed.name, name.aggregation.as_str());
        let packets = read(&objects.packets).await;
        assert_eq!(parsed.packet_file_digest, Digest::sha256(&packets));
        let packets = read_packets(&packets);
        assert!(packets.iter().all(|packet| {
            packet
                .key
                .as_deref()
                .is_some_and(|key| key.starts_with(["first", "second"][side]))
        }));
        batches.insert(name, packets);
    }
    assert_eq!(all.len(), 3 * batches.len(), "no batch is there in part");
    batches
}

pub fn read_packets(file: &[u8]) -> Vec<Packet> {
    let mut reader = ContainerReader::open(file, &FileLimits::default()).unwrap();
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block().unwrap() {
        for packet in RecordReader::<DataSharePacket<'_>>::new(
            &block,
            reader.schema(),
            &FileLimits::default(),
        ) {
            let packet = packet.unwrap();
            packets.push(Packet {
                id: packet.id.to_owned(),
                payload: packet.encrypted_payload.to_vec(),
                point: packet.r_pit,
                key: packet.encryption_key_id.map(str::to_owned),
            });
        }
    }
    packets
}

pub async fn keys(bucket: &dyn Bucket) -> Vec<String> {
    let entries = bucket.list("", ListRange::default()).await.unwrap();
    entries
        .map_ok(|entry| entry.key)
        .try_collect()
        .await
        .unwrap()
}

pub fn names() -> tallybox_model::spool::SpoolNames {
    tallybox_model::spool::SpoolNames::new("us-xx-ingestor".parse().unwrap())
}

pub fn locality(ingestor: &Ingestor) -> &Locality {
    &ingestor.localities[LOCALITY]
}

/// An owned copy of a report as a server stores it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: String,
    pub metric: String,
    pub bins: i32,
    pub epsilon: f64,
    pub keys: [String; 2],
    pub payloads: [Vec<u8>; 2],
}

impl Stored {
    pub fn borrowed(&self) -> StoredReport<'_> {
        StoredReport {
            id: &self.id,
            metric: &self.metric,
            bins: self.bins,
            epsilon: self.epsilon,
            prime: tallybox_model::header::PRIME,
            number_of_servers: 2,
            hamming_weight: None,
            key_id_first: &self.keys[0],
            key_id_second: &self.keys[1],
            payload_first: &self.payloads[0],
            payload_second: &self.payloads[1],
            carried_since: None,
        }
    }

    fn from_report(metric: &Metric, report: &Report) -> Self {
        Self {
            id: report.id.to_string(),
            metric: metric.name.to_owned(),
            bins: metric.bins() as i32,
            epsilon: 8.0,
            keys: key_ids(metric.bins()).map(str::to_owned),
            payloads: [
                report.shares[0].payload.clone(),
                report.shares[1].payload.clone(),
            ],
        }
    }
}

pub fn slab_bytes(reports: &[Stored]) -> Vec<u8> {
    let mut file = ContainerWriter::new(Vec::new(), RecordKind::StoredReport, [7; 16]);
    for report in reports {
        file.append(&report.borrowed()).unwrap();
    }
    file.finish().unwrap()
}

/// Returns the reports with these numbers for a metric. They are valid, and the same in each run.
pub fn reports(metric: &str, range: std::ops::Range<u64>) -> Vec<Stored> {
    static MADE: LazyLock<std::sync::Mutex<BTreeMap<(String, u64), Stored>>> =
        LazyLock::new(Default::default);
    let metric = Metric::named(metric).unwrap();
    let traffic = Traffic::new(1, metric, processors(metric.bins()), None).unwrap();
    let mut made = MADE.lock().unwrap();
    let report_at = |index| {
        made.entry((metric.name.to_owned(), index))
            .or_insert_with(|| Stored::from_report(metric, &traffic.packet(index).unwrap().report))
            .clone()
    };
    range.map(report_at).collect()
}

pub fn processors(bins: usize) -> Vec<ProcessorKey> {
    let key = |side: usize| ProcessorKey {
        key_id: Some(key_ids(bins)[side].to_owned()),
        public: *packet_key(side, bins).public(),
    };
    vec![key(0), key(1)]
}

pub const NOTIFIED: &str = "PeriodicExposureNotification-v1";
pub const CODES: &str = "CodeVerified-v1";

const REGISTRY: &str = "
version: 1
metrics:
  PeriodicExposureNotification-v1: { state: accept, encoding: { kind: histogram, bins: 5 }, epsilon: 8.0, cadence-hours: 24 }
  CodeVerified-v1: { state: accept, encoding: { kind: bit-vector, bins: 6 }, epsilon: 8.0, cadence-hours: 24 }
";

const CONFIG: &str = "
ingestor: ingestor
spool: 'memory:'
registry: registry.yaml
batch-signing-key: { id: ingestor-1, file: sign }
client-config-key: { id: config-1, file: sign-config }
secrets: [ { file: secret } ]
localities:
  us-xx:
    attestation: none
    packet-keys:
      - { bins: 5, first: { id: first-1, file: first-1 }, second: { id: second-1, file: second-1 } }
      - { bins: 6, first: { id: first-six, file: first-six }, second: { id: second-six, file: second-six } }
    first-mailbox: 'memory:'
    second-mailbox: 'memory:'
";
