//! Limits the peak memory of a worker process, whatever its peer sends.
//!
//! `TALLYBOX_BINARIES` is as in `kill.rs`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flate2::{Compression, write::DeflateEncoder};
use tallybox_crypto::SigningKey;
use tallybox_model::avro::{FileLimits, decode_one, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::header::ValidationHeader;
use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::{
    ChainReach, DatedBatch, Listing, OpenReason, RosterEntry, RosterHeader, RosterTerms, WindowName,
};
use tallybox_model::signature::BatchSignature;
use tallybox_model::task::{Task, TaskName, WindowKind};
use tallybox_queue::{DirectoryQueue, TaskQueue as _};
use tallybox_tests::forge::{Batch, signing_key};
use tallybox_tests::forged;
use tallybox_tests::process::binary;
use tallybox_tests::vectors::{BucketPaths, Case, side, write_config};
use tallybox_transport::batch::signature_file;
use tallybox_transport::{Bucket as _, LocalBucket, TRAILER_BYTES, publish_bytes, read_all};
use uuid::Uuid;

/// The memory budget for the packets of all tasks, in MiB.
const MEMORY_MIB: u64 = 96;
/// The memory that the worker may use in addition, in MiB.
const BEYOND_MIB: u64 = 64;
/// The timeout of a task on a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(300);
/// The number of messages in a forged validation batch, 80 MB in total.
const MESSAGES: usize = 2_000_000;

/// First's side of a window; the test fills the peer's mailbox.
struct World {
    case: Case,
    root: tempfile::TempDir,
    paths: BucketPaths,
    config: PathBuf,
    queue: DirectoryQueue,
}

impl World {
    fn new() -> Self {
        let (case, root) = (Case::load("dim8"), tempfile::tempdir().unwrap());
        let paths = BucketPaths::beside_tallybox(&case, root.path(), Role::First);
        let more = format!(
            "threads: 1
queues: {{ intake: queues/intake, aggregate: queues/aggregate }}
worker: {{ operations: '127.0.0.1:0', reload-secs: 0, memory-mib: {MEMORY_MIB} }}
rosters:
  origin: {}
  period-minutes: 60
  grace-minutes: 0
  replay-horizon-windows: 300
",
            Case::window().start()
        );
        let queue = DirectoryQueue::new(
            root.path().join("queues/aggregate"),
            Duration::from_secs(600),
        );
        Self {
            config: write_config(root.path(), Role::First, &paths, &more),
            case,
            paths,
            queue,
            root,
        }
    }

    fn name(&self) -> WindowName {
        WindowName {
            aggregation: self.case.aggregation(),
            window: Case::window(),
        }
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) {
        let mailbox = LocalBucket::new(&self.paths.validation_in);
        publish_bytes(&mailbox, key, bytes.into(), false)
            .await
            .unwrap();
    }

    /// Writes Second's roster with this file of entries.
    async fn roster(&self, entries: Vec<u8>) {
        let name = self.name();
        let (start, terms) = (
            name.window.start(),
            RosterTerms {
                origin: name.window.start(),
                period_minutes: 60,
                replay_horizon: 300,
                minimum: 1,
                maximum_age: 56,
            },
        );
        let chain = ChainReach {
            start,
            agreed_until: start,
        };
        let instance = "interop".parse().unwrap();
        let digest = Digest::sha256(&entries);
        let header = RosterHeader::new(&instance, &name, Role::Second, chain, &terms, digest);
        let header = encode_one(&header, [6; 16]).unwrap();
        let (id, key) = second_key();
        let file =
            signature_file("forged", 1, &header, Some(entries), (id.as_str(), &key)).unwrap();
        self.put(&name.roster(Role::Second), file).await;
    }

    /// Writes Second's validation of a batch with this file of messages, in one object or in three.
    async fn validation(&self, batch: &BatchName, messages: Vec<u8>, inline: bool) {
        let header = Batch::read(&self.case, batch, Role::First).header;
        let header =
            ValidationHeader::new(batch.id, header.parameters(), Digest::sha256(&messages));
        let header = encode_one(&header, [6; 16]).unwrap();
        let objects = batch.validation(Role::Second);
        let (id, key) = second_key();
        let packets = inline.then(|| messages.clone());
        let signature =
            signature_file(&objects.signature, 1, &header, packets, (id.as_str(), &key)).unwrap();
        if !inline {
            self.put(&objects.packets, messages).await;
            self.put(&objects.header, header).await;
        }
        self.put(&objects.signature, signature).await;
    }

    /// Reads the entries of the roster that the worker has written.
    async fn listed(&self) -> Vec<RosterEntry> {
        let own = LocalBucket::new(&self.paths.own);
        let record = read_all(&own, &self.name().roster(Role::First), 1 << 24)
            .await
            .unwrap();
        let file = &record[..record.len() - TRAILER_BYTES];
        let signature: BatchSignature = decode_one(file, &FileLimits::default()).unwrap();
        let (_, entries) = signature.inline().expect("one object");
        forged::records(&entries)
    }

    /// Lets a worker write the window's roster; returns the peak memory of the process in MiB.
    async fn peak(&self) -> u64 {
        let task = Task {
            trace_id: Uuid::nil(),
            name: TaskName::Window(WindowKind::Roster, self.name()),
            batches: None,
        };
        self.queue.publish(task.to_json().into()).await.unwrap();
        let process = Process::start(&self.config);
        process.wait_for(r#"facilitator_task_duration_seconds_count{task="roster"} 1"#);
        let peak = process.peak_mib();
        drop(process);
        let own = LocalBucket::new(&self.paths.own);
        own.size(&self.name().roster(Role::First))
            .await
            .expect("the worker has written its roster");
        assert!(self.root.path().exists());
        peak
    }
}

fn second_key() -> (String, SigningKey) {
    let side = side(Role::Second);
    (
        format!("{side}-key-1"),
        signing_key(&format!("{side}-signing.pkcs8.b64")),
    )
}

/// A worker process.
struct Process {
    child: Child,
    operations: String,
}

impl Process {
    fn start(config: &Path) -> Self {
        let mut child = Command::new(binary("facilitator"))
            .arg("--config")
            .arg(config)
            .args(["--json", "worker", "aggregate"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let started: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        let operations = started["operations"]
            .as_str()
            .unwrap_or_else(|| panic!("{line}"));
        Self {
            operations: operations.strip_prefix("http://").unwrap().to_owned(),
            child,
        }
    }

    fn wait_for(&self, line: &str) {
        let begun = Instant::now();
        let page = || {
            let mut stream = TcpStream::connect(&self.operations).unwrap();
            write!(
                stream,
                "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        while !page().lines().any(|found| found == line) {
            assert!(begun.elapsed() < WAIT_TIMEOUT, "{line} in {}", page());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib >> 10
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Encodes an Avro file whose blocks are compressed.
fn deflated(schema: &str, blocks: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let mut file = b"Obj\x01".to_vec();
    long(&mut file, 2);
    for (key, value) in [("avro.codec", "deflate"), ("avro.schema", schema)] {
        for text in [key, value] {
            long(&mut file, text.len());
            file.extend(text.as_bytes());
        }
    }
    file.push(0);
    file.extend([5; 16]);
    for (records, bytes) in blocks {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        let bytes = encoder.finish().unwrap();
        long(&mut file, *records);
        long(&mut file, bytes.len());
        file.extend(bytes);
        file.extend([5; 16]);
    }
    file
}

/// Encodes an Avro `long` that is not negative.
fn long(out: &mut Vec<u8>, value: usize) {
    let mut rest = value << 1;
    while rest >= 0x80 {
        out.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Encodes messages on packets that do not exist, 40 bytes each.
fn messages() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40 * MESSAGES);
    for number in 0..MESSAGES {
        long(&mut bytes, 36);
        write!(bytes, "0abc0000-0000-4000-8000-{number:012x}").unwrap();
        bytes.extend([0, 0, 0]);
    }
    bytes
}

fn entry(number: u64) -> RosterEntry {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let batch = DatedBatch {
        date: Case::window().start(),
        id: BatchId::from_bytes(id),
    };
    RosterEntry::new(batch, &Listing::Open(OpenReason::NoIngestion))
}

/// A roster with the maximum number of entries is read. A small file with far more entries, and a
/// large file, are rejected.
#[tokio::test(flavor = "multi_thread")]
async fn a_roster_of_the_peers_takes_bounded_memory() {
    let most = tallybox_model::roster::MOST_ENTRIES;
    let file_of = |entries: u64| forged::file(&(0..entries).map(entry).collect::<Vec<_>>());
    let record = file_of(2).len() - file_of(1).len();
    let schema = include_str!("../../model/schema/roster-entry.avsc");
    let bomb = deflated(schema, &[(20_000_000 / record, vec![0; 60_000_000])]);
    for (what, entries) in [
        ("the most", file_of(most)),
        ("too many", file_of(most * 4)),
        ("a bomb", bomb),
        ("a large file", vec![0; 63 << 20]),
    ] {
        let world = World::new();
        world.roster(entries).await;
        let peak = world.peak().await;
        assert!(peak <= MEMORY_MIB + BEYOND_MIB, "{what}: {peak} MiB");
    }
}

/// Messages on packets that do not exist: compressed, and uncompressed in one object of nearly 64
/// MiB.
#[tokio::test(flavor = "multi_thread")]
async fn a_validation_of_the_peers_takes_bounded_memory() {
    let schema = include_str!("../../model/schema/validation-packet.avsc");
    let messages = messages();
    let blocks: Vec<(usize, Vec<u8>)> = messages
        .chunks(40 * 200_000)
        .map(|block| (block.len() / 40, block.to_vec()))
        .collect();
    let small = deflated(schema, &blocks);
    for (what, file, inline) in [
        ("compressed", small, false),
        ("one object", vec![1; 63 << 20], true),
    ] {
        let world = World::new();
        let batch = world.case.batches().remove(0);
        world.validation(&batch, file, inline).await;
        let peak = world.peak().await;
        assert!(peak <= MEMORY_MIB + BEYOND_MIB, "{what}: {peak} MiB");
        let listed = world.listed().await;
        let entry = listed
            .iter()
            .find(|entry| entry.batch_uuid == batch.id)
            .unwrap();
        assert_eq!(entry.reason.as_deref(), Some("bad-validation"), "{what}");
    }
}
