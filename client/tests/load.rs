//! The counts of the load generator equal those of the ingestor.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use support::{FakeIngestor, NOW, Script, trust};
use tallybox_client::load::{LoadError, LoadFormat, LoadOptions, LoadSummary, load};
use tallybox_model::report::ProblemKind;
use tallybox_service::progress::Progress;
use tokio::net::{TcpListener, TcpStream};

fn options(reports: u64) -> LoadOptions {
    LoadOptions {
        rate: 0.0,
        devices: 3,
        duration: Duration::from_secs(60),
        reports: Some(reports),
        bulk: 1,
        form: LoadFormat::Json,
        metrics: BTreeMap::new(),
        bad: 0.0,
        replayed: 0.0,
        pool: 20,
        seed: 7,
        tls: None,
    }
}

async fn run(ingestor: &FakeIngestor, options: &LoadOptions) -> Result<LoadSummary, LoadError> {
    let document = ingestor.world().document.clone();
    let config = trust().check(&document, NOW.parse().unwrap()).unwrap();
    load(&ingestor.address(), &config, options, &Progress::hidden()).await
}

#[tokio::test]
async fn single_posts_are_all_taken() {
    let ingestor = FakeIngestor::start().await;
    let summary = run(&ingestor, &options(100)).await.unwrap();
    assert_eq!(
        (summary.posts, summary.reports, summary.accepted),
        (100, 100, 100)
    );
    assert_eq!(summary.statuses, [(200, 100)].into());
    assert!(
        summary.surprises.is_empty() && summary.failures.is_empty(),
        "{summary:?}"
    );
    assert!(summary.latency.max_ms >= summary.latency.p50_ms && summary.latency.p50_ms > 0.0);
    let world = ingestor.world();
    assert_eq!(world.accepted.len(), 100);
    let metrics: std::collections::BTreeSet<_> = world
        .accepted
        .values()
        .map(|report| &report.metric)
        .collect();
    assert_eq!(metrics.len(), 3);
}

/// Starts a TLS proxy in front of a plain server. Returns its port and certificate.
async fn ended_tls(plain: &FakeIngestor) -> (u16, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = plain.address().host_and_port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut front = acceptor.accept(stream).await?;
                let mut back = TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut front, &mut back).await
            });
        }
    });
    (port, certificate.to_vec())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

#[tokio::test]
async fn load_is_made_over_tls_to_whom_the_certificate_names() {
    let ingestor = FakeIngestor::start().await;
    let (port, certificate) = ended_tls(&ingestor).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.into()).unwrap();
    let tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let document = ingestor.world().document.clone();
    let config = trust().check(&document, NOW.parse().unwrap()).unwrap();
    let run = async |host: &str, tls: Option<rustls::ClientConfig>| {
        let address = format!("https://{host}:{port}").parse().unwrap();
        let options = LoadOptions {
            tls: tls.map(Arc::new),
            ..options(20)
        };
        load(&address, &config, &options, &Progress::hidden())
            .await
            .unwrap()
    };
    let summary = run("localhost", Some(tls.clone())).await;
    assert_eq!(
        (summary.accepted, summary.unanswered, summary.posts),
        (20, 0, 20),
        "{summary:?}"
    );
    assert_eq!(ingestor.world().accepted.len(), 20);
    // A name that differs from the certificate's, and a certificate that the system does not trust.
    for (host, tls) in [("127.0.0.1", Some(tls)), ("localhost", None)] {
        let summary = run(host, tls).await;
        assert_eq!(summary.failures, [("tls".to_owned(), 20)].into(), "{host}");
    }
    assert_eq!(ingestor.world().accepted.len(), 20, "nothing was sent");
}

#[tokio::test]
async fn posts_of_many_are_taken_in_both_forms() {
    for form in [LoadFormat::Json, LoadFormat::Avro] {
        let ingestor = FakeIngestor::start().await;
        let options = LoadOptions {
            bulk: 40,
            form,
            metrics: [("bits-v1".to_owned(), 1.0)].into(),
            ..options(101)
        };
        let summary = run(&ingestor, &options).await.unwrap();
        assert_eq!(
            (summary.posts, summary.reports, summary.accepted),
            (3, 101, 101),
            "{form:?}"
        );
        let world = ingestor.world();
        assert!(
            world
                .accepted
                .values()
                .all(|report| report.metric == "bits-v1" && report.bins == 3)
        );
        assert_eq!(world.accepted.len(), 101);
    }
}

#[tokio::test]
async fn replays_and_sealing_one_by_one() {
    let ingestor = FakeIngestor::start().await;
    let options = LoadOptions {
        replayed: 0.5,
        pool: 0,
        ..options(200)
    };
    let summary = run(&ingestor, &options).await.unwrap();
    assert_eq!(summary.accepted + summary.already_accepted, 200);
    assert!((60..140).contains(&summary.already_accepted), "{summary:?}");
    assert!(summary.surprises.is_empty(), "{summary:?}");
    let world = ingestor.world();
    let sealed: std::collections::BTreeSet<_> = world
        .accepted
        .values()
        .map(|report| &report.payload_first)
        .collect();
    assert_eq!(sealed.len(), world.accepted.len());
}

/// The ingestor of these tests detects four of the eight faults; the others count as unexpected.
#[tokio::test]
async fn bad_reports_are_told_apart() {
    let ingestor = FakeIngestor::start().await;
    let options = LoadOptions {
        bad: 1.0,
        ..options(400)
    };
    let summary = run(&ingestor, &options).await.unwrap();
    let rejected: Vec<&str> = summary.rejected.keys().map(String::as_str).collect();
    assert_eq!(
        rejected,
        [
            "outdatedKey",
            "parameterMismatch",
            "schemaVersion",
            "unknownMetric"
        ]
    );
    let surprises: Vec<&str> = summary.surprises.keys().map(String::as_str).collect();
    assert_eq!(
        surprises,
        [
            "accepted for badEphemeralKey",
            "accepted for badShareLength",
            "accepted for tooEarly",
            "accepted for tooLate"
        ]
    );
}

#[tokio::test]
async fn what_is_shed_or_lost_is_counted() {
    let ingestor = FakeIngestor::start().await;
    ingestor.script([
        Script::Problem(ProblemKind::Overloaded, Some("1")),
        Script::Problem(ProblemKind::RateLimited, None),
        Script::LoseAnswer,
        Script::Raw(502, "<html>"),
    ]);
    let options = LoadOptions {
        devices: 1,
        ..options(10)
    };
    let summary = run(&ingestor, &options).await.unwrap();
    assert_eq!((summary.accepted, summary.unanswered), (6, 2));
    assert_eq!(
        summary.rejected,
        [("overloaded".to_owned(), 1), ("rateLimited".to_owned(), 1)].into()
    );
    assert_eq!(
        summary.failures,
        [("answer".to_owned(), 1), ("connection".to_owned(), 1)].into()
    );
    assert!(summary.surprises.is_empty());
}

#[tokio::test]
async fn a_rate_is_kept_and_time_ends_it() {
    let ingestor = FakeIngestor::start().await;
    let options = LoadOptions {
        rate: 100.0,
        duration: Duration::from_millis(300),
        reports: None,
        ..options(0)
    };
    let summary = run(&ingestor, &options).await.unwrap();
    assert!((1..=30).contains(&summary.posts), "{summary:?}");
    assert!(summary.since_due.is_some());
}

#[tokio::test]
async fn options_that_cannot_be_are_refused() {
    let ingestor = FakeIngestor::start().await;
    let refused =
        async |options: LoadOptions| run(&ingestor, &options).await.unwrap_err().to_string();
    let metrics = |name: &str, weight| [(name.to_owned(), weight)].into();
    for (options, expected) in [
        (
            LoadOptions {
                bad: 1.1,
                ..options(1)
            },
            "fractions",
        ),
        (
            LoadOptions {
                devices: 0,
                ..options(1)
            },
            "device",
        ),
        (
            LoadOptions {
                metrics: metrics("other-v1", 1.0),
                ..options(1)
            },
            "other-v1",
        ),
        (
            LoadOptions {
                metrics: metrics("bits-v1", 0.0),
                ..options(1)
            },
            "weight",
        ),
        (
            LoadOptions {
                rate: f64::NAN,
                ..options(1)
            },
            "rate",
        ),
    ] {
        let message = refused(options).await;
        assert!(message.contains(expected), "{message}");
    }
}
