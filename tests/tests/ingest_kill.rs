//! Real ingestors killed at random under load: two servers and two batch jobs on one spool. Each report that was
//! acknowledged is in exactly one batch on both sides, and nothing is there twice.
//!
//! As `kill.rs`, it takes release binaries. `TALLYBOX_KILL_SECONDS` says for how long it kills (15); then it waits for the
//! last window of a minute to end. `TALLYBOX_KILL_SEED` repeats the choices of a run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tallybox_client::Address;
use tallybox_client::config::Trust;
use tallybox_client::post::{Options, Outcome, Prepared, Reporter};
use tallybox_client::traffic::{Metric, Traffic};
use tallybox_facilitator::config::Points;
use tallybox_model::client_config::ClientConfig;
use tallybox_model::registry::Registry;
use tallybox_model::role::Role;
use tallybox_sandbox::keys::CLIENT_CONFIG_KEY_ID;
use tallybox_sandbox::layout::{BucketKind, LOCALITY, Served};
use tallybox_sandbox::world::World;
use tallybox_service::config::load;
use tallybox_tests::ingest::{batches, pairs};
use tallybox_tests::process::{files, release_binary};

const METRIC: &str = "CodeVerified-v1";
/// Windows are as short as can be.
const SETTLE: u64 = 3;

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A program that is killed when it is dropped, and not asked.
struct Process(Child);

impl Process {
    fn start(config: &Path, command: &str) -> Self {
        let child = Command::new(release_binary("ingestor"))
            .arg("--config")
            .arg(config)
            .arg(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// Kills it and starts another. A server's address is free only when the old one is gone.
    fn restart(&mut self, config: &Path, command: &str) {
        self.kill();
        *self = Self::start(config, command);
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Two configurations of one ingestor, of replicas that share everything but their addresses.
fn configurations(world: &World) -> [(PathBuf, SocketAddr); 2] {
    [0, 1].map(|replica| {
        let served = Served {
            listen: free_address(),
            operations: free_address(),
            window_minutes: 1,
            settle_secs: SETTLE,
        };
        let metrics = [*Metric::named(METRIC).unwrap()];
        world.layout.write_ingestor(&metrics, None, &served).unwrap();
        let path = world.layout.root().join(format!("replica-{replica}.yaml"));
        std::fs::rename(world.layout.ingestor_config(), &path).unwrap();
        (path, served.listen)
    })
}

fn reporter(world: &World, address: SocketAddr) -> Reporter {
    let trust = Trust {
        locality: LOCALITY.to_owned(),
        keys: [(
            CLIENT_CONFIG_KEY_ID.to_owned(),
            world.keys.client_config.verifying_key(),
        )]
        .into(),
        max_epsilon: 8.0,
    };
    let mut options = Options::default();
    options.deadline = Duration::from_millis(300);
    let address: Address = format!("http://{address}").parse().unwrap();
    Reporter::new(&address, trust, options).unwrap()
}

/// Reports that are still to be posted, and those that were acknowledged.
#[derive(Default)]
struct Ledger {
    next: u64,
    again: VecDeque<Prepared>,
    acknowledged: BTreeSet<[Vec<u8>; 2]>,
    abandoned: u64,
}

/// Posts until the time is over: some fresh reports, some that were not acknowledged, to either replica.
async fn post(reporters: [Reporter; 2], traffic: Arc<Traffic>, ledger: Arc<Mutex<Ledger>>, seed: u64, end: Instant) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let registry: Registry = serde_json::from_str(&format!(
        r#"{{"version":1,"metrics":{{"{METRIC}":{{"state":"accept","encoding":{{"kind":"bit-vector","bins":6}},
        "epsilon":8.0,"cadence-hours":24}}}}}}"#
    ))
    .unwrap();
    let metric = ClientConfig::metrics_of(&registry).remove(0);
    while Instant::now() < end {
        let mut post = Vec::new();
        for _ in 0..rng.random_range(1..20) {
            let (again, index) = {
                let mut ledger = ledger.lock().unwrap();
                ledger.next += 1;
                (ledger.again.pop_front(), ledger.next)
            };
            post.push(again.unwrap_or_else(|| {
                let report = traffic.packet(index).unwrap().report;
                Prepared::from(report.into_upload(&metric, 2, None))
            }));
        }
        let shares: Vec<[Vec<u8>; 2]> = post
            .iter()
            .map(|report| report.upload().payloads().map(<[u8]>::to_vec))
            .collect();
        let outcomes = reporters[rng.random_range(0..2)].send_all(post).await;
        let mut ledger = ledger.lock().unwrap();
        for (outcome, shares) in outcomes.into_iter().zip(shares) {
            match outcome {
                Outcome::Accepted | Outcome::AlreadyAccepted => {
                    ledger.acknowledged.insert(shares);
                }
                // Real clients come back, mostly.
                Outcome::TryLater { report, .. } if rng.random_bool(0.8) => ledger.again.push_back(*report),
                Outcome::TryLater { .. } => ledger.abandoned += 1,
                other => panic!("seed {seed}: {other:?}"),
            }
        }
    }
}

/// Kills and starts again, servers and batch jobs, until the time is over.
async fn kill(configs: &[PathBuf; 2], seed: u64, end: Instant) -> u64 {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut servers = configs.each_ref().map(|config| Process::start(config, "serve"));
    let mut jobs = configs.each_ref().map(|config| Process::start(config, "batch"));
    let mut kills = 0;
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(rng.random_range(10..700))).await;
        let which = rng.random_range(0..2);
        if rng.random_bool(0.4) {
            servers[which].restart(&configs[which], "serve");
        } else {
            jobs[which].restart(&configs[which], "batch");
        }
        kills += 1;
    }
    kills
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_batched_exactly_once() {
    let seed = number("TALLYBOX_KILL_SEED", rand::random());
    println!("TALLYBOX_KILL_SEED={seed}");
    let directory = tempfile::tempdir().unwrap();
    let world = World::create(directory.path(), None, Points::Pinned).unwrap();
    let replicas = configurations(&world);
    let configs = replicas.each_ref().map(|(path, _)| path.clone());
    assert_eq!(
        load::<Registry>(&directory.path().join("registry.yaml"))
            .unwrap()
            .value
            .version,
        1
    );
    let metric = Metric::named(METRIC).unwrap();
    let traffic = Arc::new(Traffic::new(seed, metric, world.keys.for_clients(), None).unwrap());
    let (ledger, end) = (
        Arc::new(Mutex::new(Ledger::default())),
        Instant::now() + Duration::from_secs(number("TALLYBOX_KILL_SECONDS", 15)),
    );
    let posters = (0..6).map(|poster| {
        let reporters = replicas.each_ref().map(|(_, address)| reporter(&world, *address));
        let (traffic, ledger) = (Arc::clone(&traffic), Arc::clone(&ledger));
        tokio::spawn(post(reporters, traffic, ledger, seed ^ (1 << poster), end))
    });
    let posters: Vec<_> = posters.collect();
    let kills = kill(&configs, seed, end).await;
    for poster in posters {
        poster.await.unwrap();
    }
    let ledger = std::mem::take(&mut *ledger.lock().unwrap());
    let acknowledged = ledger.acknowledged.len();
    println!(
        "{kills} kills, {acknowledged} acknowledged, {} abandoned",
        ledger.abandoned
    );
    assert!(
        kills > 20 && acknowledged > 200,
        "{kills} kills, {acknowledged} acknowledged"
    );
    // The window of the last slab ends within a minute, and settles.
    std::thread::sleep(Duration::from_secs(61 + SETTLE));
    let batch = || {
        let mut process = Process::start(&configs[0], "batch");
        assert!(process.0.wait().unwrap().success(), "a run that nobody kills ends well");
    };
    batch();
    let buckets = directory.path().join("buckets");
    let mut before = BTreeMap::new();
    files(&buckets, &mut before, &buckets);
    batch();
    let mut after = BTreeMap::new();
    files(&buckets, &mut after, &buckets);
    assert!(before == after, "another run changes no byte");
    let key = world.keys.ingestor_signing.verifying_key();
    let [first, second] = Role::ALL.map(|role| world.layout.bucket(BucketKind::Ingestion, role));
    let counts = pairs(&batches(&*first, &key).await, &batches(&*second, &key).await);
    assert!(counts.values().all(|count| *count == 1), "nothing is there twice");
    let lost = ledger
        .acknowledged
        .iter()
        .filter(|shares| !counts.contains_key(*shares))
        .count();
    assert_eq!(lost, 0, "of {acknowledged} acknowledged reports");
    println!("{} reports batched", counts.len());
}
