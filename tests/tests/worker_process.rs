//! Runs a worker as a process: its pages for operators, and its reaction to signals.
//!
//! `TALLYBOX_BINARIES` is as in `kill.rs`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tallybox_model::role::Role;
use tallybox_model::task::{Task, TaskName};
use tallybox_queue::{DirectoryQueue, TaskQueue as _};
use tallybox_tests::forge::Batch;
use tallybox_tests::process::binary;
use tallybox_tests::vectors::{BucketPaths, Case, write_config};
use tallybox_transport::LocalBucket;
use uuid::Uuid;

const LEASE_TIME: Duration = Duration::from_secs(600);
/// The timeout of any step on a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A processor with a single batch that takes one thread many seconds, since it has many packets,
/// most of them repeated.
struct World {
    config: PathBuf,
    queue: DirectoryQueue,
    own: PathBuf,
    _root: tempfile::TempDir,
}

impl World {
    async fn new(packets: usize) -> Self {
        let (case, root, role) = (
            Case::load("dim8"),
            tempfile::tempdir().unwrap(),
            Role::First,
        );
        let name = case.batches().remove(0);
        let mut batch = Batch::read(&case, &name, role);
        batch.packets = batch
            .packets
            .iter()
            .cycle()
            .take(packets)
            .cloned()
            .collect();
        let paths = BucketPaths {
            ingestion: root.path().join("ingestion"),
            ..BucketPaths::beside_predecessor(&case, root.path(), role)
        };
        batch.write(&LocalBucket::new(&paths.ingestion)).await;
        let more = "threads: 1
queues: { intake: queues/intake, aggregate: queues/aggregate }
worker: { operations: '192.0.2.1:1', reload-secs: 0 }
";
        let queue = DirectoryQueue::new(root.path().join("queues/intake"), LEASE_TIME);
        let task = Task {
            trace_id: Uuid::nil(),
            name: TaskName::Intake(name),
            batches: None,
        };
        queue.publish(task.to_json().into()).await.unwrap();
        Self {
            config: write_config(root.path(), role, &paths, more),
            queue,
            own: paths.own,
            _root: root,
        }
    }
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
            // The address in the configuration does not belong to this machine, so --operations
            // must override it.
            .args(["--json", "worker", "all", "--operations", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
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

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }

    fn get(&self, page: &str) -> String {
        let mut stream = TcpStream::connect(&self.operations).unwrap();
        write!(
            stream,
            "GET {page} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Waits for a line of the metrics.
    fn wait_for(&self, line: &str) {
        let begun = Instant::now();
        while !self.get("/metrics").lines().any(|found| found == line) {
            assert!(
                begun.elapsed() < WAIT_TIMEOUT,
                "{line} in {}",
                self.get("/metrics")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the exit, and returns how long it took.
    fn end(mut self) -> Duration {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return begun.elapsed();
            }
            assert!(begun.elapsed() < WAIT_TIMEOUT, "the worker does not exit");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the names of all objects of a local bucket, without staged files.
fn objects(folder: &std::path::Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            names.extend(objects(&entry.path()));
        } else if !name.starts_with('.') {
            names.push(name);
        }
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn w20_sigterm_in_the_middle_of_a_long_intake_gives_the_task_back_within_five_seconds() {
    let world = World::new(1_000_000).await;
    let process = Process::start(&world.config);
    process.wait_for(r#"facilitator_tasks_in_hand{queue="intake"} 1"#);
    // Wait until the intake has reached the packets.
    std::thread::sleep(Duration::from_millis(500));
    assert!(process.get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(process.get("/readyz").starts_with("HTTP/1.1 200"));
    process.signal("TERM");
    let took = Process::end(process);
    assert!(took < Duration::from_secs(5), "{took:?}");
    let delivery = world.queue.receive(Duration::ZERO).await.unwrap();
    assert_eq!(
        delivery.expect("the task can be received at once").attempt,
        Some(2)
    );
    let fixed = objects(&world.own);
    assert!(
        !fixed.iter().any(|name| name.ends_with(".prepared")),
        "expected no fixed object of the batch: {fixed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_has_keys_read_again_and_an_idle_worker_ends_at_once() {
    let world = World::new(100).await;
    let process = Process::start(&world.config);
    process.wait_for(r#"facilitator_tasks_total{task="intake",outcome="done"} 1"#);
    process.signal("HUP");
    process.wait_for("facilitator_reloads_total 1");
    let good = std::fs::read_to_string(&world.config).unwrap();
    std::fs::write(&world.config, "role: third").unwrap();
    process.signal("HUP");
    process.wait_for("facilitator_reload_failures_total 1");
    assert!(
        process
            .get("/readyz")
            .contains("the old ones stay in force")
    );
    std::fs::write(&world.config, good).unwrap();
    process.signal("INT");
    let took = Process::end(process);
    assert!(took < Duration::from_secs(5), "{took:?}");
}
