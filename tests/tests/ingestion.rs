//! Runs the ingestor as a server: its batches are byte for byte in ENPA's format, and clients with
//! an outdated configuration fetch the new one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use tallybox_client::post::{Options, PostOutcome, Prepared, Reporter};
use tallybox_client::traffic::Metric;
use tallybox_client::{Address, Value};
use tallybox_crypto::PacketPrivateKey;
use tallybox_facilitator::config::Points;
use tallybox_ingestor::http::Server;
use tallybox_ingestor::ingestor::{Ingestor, KeyPair, NamedPacketKey};
use tallybox_model::avro::{FileLimits, RecordKind, decode_one};
use tallybox_model::header::IngestionHeader;
use tallybox_model::path::BatchName;
use tallybox_model::report::ProblemKind;
use tallybox_model::role::Role;
use tallybox_model::signature::BatchSignature;
use tallybox_sandbox::config_files::Served;
use tallybox_sandbox::keys::INGESTOR_KEY_ID;
use tallybox_sandbox::layout::{BucketKind, LOCALITY, Layout};
use tallybox_sandbox::run::{RunOptions, run};
use tallybox_sandbox::world::World;
use tallybox_service::config::load;
use tallybox_service::output::Output;
use tallybox_tests::frame::assert_framed_as_the_predecessors;
use tokio_util::sync::CancellationToken;

const METRIC: &str = "CodeVerified-v1";

/// Returns all files below a directory, relative to it.
fn files(root: &Path, below: &Path, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(root, &path, out);
        } else {
            out.push(
                path.strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
            );
        }
    }
}

/// A run of the sandbox posts honest reports, invalid reports and replays, and checks that the
/// processors arrive at the true sums. This test checks the files of its ingestor.
#[tokio::test(flavor = "multi_thread")]
async fn batches_of_the_ingestor_are_written_as_the_predecessors() {
    let directory = tempfile::tempdir().unwrap();
    let options = RunOptions {
        packets: 60,
        metrics: vec![*Metric::named(METRIC).unwrap()],
        seed: Some(1),
        epsilon: None,
    };
    run(directory.path(), &options, Output::new(true))
        .await
        .unwrap();
    let layout = Layout::at(directory.path());
    for role in Role::ALL {
        let bucket = layout.directory(BucketKind::Ingestion, role);
        let mut all = Vec::new();
        files(&bucket, &bucket, &mut all);
        let batches: Vec<_> = all
            .iter()
            .filter_map(|key| BatchName::from_ingestion_signature(key))
            .collect();
        assert_eq!(
            (batches.len(), all.len()),
            (4, 12),
            "expected three batches of a dishonest ingestor and one of an honest one"
        );
        for name in batches {
            let objects = name.ingestion();
            let read = |key: &str| std::fs::read(bucket.join(key)).unwrap();
            let (header, signature) = (read(&objects.header), read(&objects.signature));
            assert_framed_as_the_predecessors(&header, RecordKind::IngestionHeader);
            assert_framed_as_the_predecessors(&read(&objects.packets), RecordKind::DataSharePacket);
            assert_framed_as_the_predecessors(&signature, RecordKind::BatchSignature);
            let header: IngestionHeader = decode_one(&header, &FileLimits::default()).unwrap();
            assert_eq!(
                (header.batch_uuid, header.bins, header.number_of_servers),
                (name.id, 6, 2)
            );
            assert!(
                header.batch_start_time < header.batch_end_time
                    && header.batch_start_time % 60_000 == 0
            );
            let signature: BatchSignature = decode_one(&signature, &FileLimits::default()).unwrap();
            assert_eq!(signature.key_identifier, INGESTOR_KEY_ID);
        }
    }
}

/// A running ingestor, which can be restarted at the same address with changes.
struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn start(world: &World, change: impl FnOnce(&mut Ingestor)) -> Self {
        let config = load(&world.layout.ingestor_config()).unwrap();
        let mut ingestor = Ingestor::open(&config).unwrap();
        change(&mut ingestor);
        let server = Server::bind(Arc::new(ingestor)).await.unwrap();
        let (address, stop) = (server.address().unwrap(), CancellationToken::new());
        let serving = tokio::spawn(server.run(stop.clone()));
        Self {
            address,
            stop,
            serving,
        }
    }

    async fn stop(self) -> SocketAddr {
        self.stop.cancel();
        self.serving.await.unwrap();
        self.address
    }
}

fn world(directory: &Path, epsilon: Option<f64>) -> World {
    let world = World::create(directory, Some(1), Points::Pinned).unwrap();
    let metrics = [*Metric::named(METRIC).unwrap()];
    world
        .layout
        .write_ingestor(&metrics, epsilon, &Served::default())
        .unwrap();
    world
}

fn reporter(world: &World, address: SocketAddr, max_epsilon: f64) -> Reporter {
    let trust = world.trust(max_epsilon);
    let address: Address = format!("http://{address}").parse().unwrap();
    Reporter::new(&address, trust, Options::default()).unwrap()
}

fn answer() -> Value {
    Value::Bits(vec![false, true, false, false, false, false])
}

async fn prepared(reporter: &Reporter) -> Prepared {
    reporter.prepare(METRIC, &answer()).await.unwrap().unwrap()
}

fn dropped(outcome: &PostOutcome) -> Option<ProblemKind> {
    match outcome {
        PostOutcome::Dropped(problem) => problem.known(),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_keys_old_clients_are_told_and_recover() {
    let directory = tempfile::tempdir().unwrap();
    let world = world(directory.path(), None);
    let before = Running::start(&world, |_| {}).await;
    let client = reporter(&world, before.address, 8.0);
    assert!(
        client
            .report(METRIC, &answer())
            .await
            .unwrap()
            .is_accepted()
    );
    let (old, frozen) = (
        prepared(&client).await,
        prepared(&client).await.upload().clone(),
    );
    let address = before.stop().await;
    let _after = Running::start(&world, |ingestor| {
        ingestor.serve.listen = address;
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let keys = ["first-2", "second-2"].map(|id| NamedPacketKey {
            id: id.to_owned(),
            public: *PacketPrivateKey::generate(&mut rng).public(),
        });
        ingestor.localities.get_mut(LOCALITY).unwrap().key_pairs = vec![KeyPair { bins: 6, keys }];
    })
    .await;
    // A report of which the client has only the encrypted form cannot be created again: the client
    // receives an error.
    let outcome = client.send(Prepared::from(frozen)).await;
    assert_eq!(
        dropped(&outcome),
        Some(ProblemKind::OutdatedKey),
        "{outcome:?}"
    );
    // If the client still has the answer, it encrypts the report with the new keys automatically.
    assert!(client.send(old).await.is_accepted());
    assert!(
        client
            .report(METRIC, &answer())
            .await
            .unwrap()
            .is_accepted()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_the_registry_old_clients_are_told_and_recover() {
    let directory = tempfile::tempdir().unwrap();
    let world = world(directory.path(), None);
    let before = Running::start(&world, |_| {}).await;
    let client = reporter(&world, before.address, 8.0);
    let (old, frozen) = (
        prepared(&client).await,
        prepared(&client).await.upload().clone(),
    );
    let address = before.stop().await;
    // Never done in production: the same name with other parameters.
    let metrics = [*Metric::named(METRIC).unwrap()];
    world
        .layout
        .write_ingestor(&metrics, Some(4.0), &Served::default())
        .unwrap();
    let after = Running::start(&world, |ingestor| ingestor.serve.listen = address).await;
    let outcome = client.send(Prepared::from(frozen)).await;
    assert_eq!(
        dropped(&outcome),
        Some(ProblemKind::ParameterMismatch),
        "{outcome:?}"
    );
    assert!(client.send(old).await.is_accepted());
    // A client with a lower limit for epsilon refuses to answer with so little noise.
    let careful = reporter(&world, after.address, 3.0);
    assert!(careful.report(METRIC, &answer()).await.is_err());
}
