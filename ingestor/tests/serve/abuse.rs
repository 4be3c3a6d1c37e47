//! Replays, conflicts and rate limits; logs and stored objects that do not identify clients.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Extension;
use tallybox_ingestor::http::Peer;
use tallybox_model::client_config::AttestationPolicy;
use tower::ServiceExt as _;

use crate::world::*;

#[tokio::test]
async fn the_same_again_is_success_and_another_under_its_id_a_conflict() {
    let world = World::new().await;
    let first = report(0);
    assert_eq!(
        outcome(&world.post_report(&first).await.result()),
        "accepted"
    );
    for _ in 0..3 {
        assert_eq!(
            outcome(&world.post_report(&first).await.result()),
            "alreadyAccepted"
        );
    }
    let mut other = report(1);
    other.id.clone_from(&first.id);
    let answer = world.post_report(&other).await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("conflict", 409)
    );
    // The report under another metric of the same shape.
    let mut moved = first.clone();
    moved.metric = "SameShape-v1".to_owned();
    assert_eq!(world.post_report(&moved).await.problem(), "conflict");
    // Another spelling of the id or another time does not make another report.
    let mut spelled = first.clone();
    spelled.id = first.id.replace('-', "").to_uppercase();
    spelled.created = Some(NOW - HOUR);
    let result = world.post_report(&spelled).await.result();
    assert_eq!(
        (outcome(&result), result.uuid),
        ("alreadyAccepted".to_owned(), spelled.id)
    );
    assert_eq!(world.stored().await, [first.id]);
    let labels = format!("{{locality=\"us-xx\",metric=\"{NOTIFIED}\"}}");
    assert_eq!(
        world.count(&format!("ingestor_reports_accepted_total{labels}")),
        1
    );
    assert_eq!(
        world.count(&format!("ingestor_reports_already_accepted_total{labels}")),
        4
    );
}

#[tokio::test]
async fn what_is_forgotten_is_taken_again() {
    let world = World::with(|ingestor| ingestor.serve.remembered_reports = 4).await;
    let first = report(0);
    world.post_report(&first).await.result();
    for index in 1..6 {
        world.post_report(&report(index)).await.result();
    }
    assert_eq!(
        outcome(&world.post_report(&first).await.result()),
        "accepted"
    );
    assert_eq!(
        world.stored().await.len(),
        7,
        "the batcher sees that it is the same"
    );
}

#[tokio::test]
async fn networks_and_devices_have_rates() {
    let world = World::with(|ingestor| {
        ingestor.acceptance.per_network_per_minute = 4;
        ingestor.acceptance.per_key_per_minute = 2;
        let locality = ingestor.localities.get_mut(LOCALITY).unwrap();
        locality.attestation = AttestationPolicy::Optional;
        locality.verifier = Some(Arc::new(TestVerifier));
    })
    .await;
    let from = async |address: &str, body: String| {
        let peer = Peer::from_address(format!("{address}:1").parse().unwrap());
        let router = world.app.router().layer(Extension(peer));
        HttpAnswer::read(router.oneshot(post_to(LOCALITY, body, JSON)).await.unwrap()).await
    };
    let all: Vec<_> = (0..6).map(report).collect();
    let results = from("203.0.113.1", many(&all)).await.results();
    assert_eq!(
        results,
        [
            "accepted",
            "accepted",
            "accepted",
            "accepted",
            "rateLimited",
            "rateLimited"
        ]
    );
    let answer = from("203.0.113.77", report_json(&report(9))).await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("rateLimited", 429)
    );
    let seconds: u32 = answer.header("retry-after").parse().unwrap();
    assert!((10..=60).contains(&seconds));
    assert_eq!(
        outcome(&from("203.0.114.1", report_json(&report(9))).await.result()),
        "accepted"
    );
    // One device that posts the same report repeatedly.
    let attested = attest(report(20), 1, NOW);
    for expected in ["accepted", "alreadyAccepted"] {
        assert_eq!(
            outcome(&from("198.51.100.1", report_json(&attested)).await.result()),
            expected
        );
    }
    assert_eq!(
        from("198.51.100.1", report_json(&attested)).await.problem(),
        "rateLimited"
    );
    assert_eq!(
        outcome(
            &from("198.51.100.1", report_json(&attest(report(21), 2, NOW)))
                .await
                .result()
        ),
        "accepted"
    );
}

/// A writer that keeps the log in memory.
#[derive(Clone, Default)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_names_the_client() {
    const ADDRESS: &str = "203.0.113.199";
    const FORWARDED: &str = "198.51.100.123";
    const AGENT: &str = "SecretPhone/17";
    let logs = LogBuffer::default();
    let writer = logs.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let world = World::with(|ingestor| {
        ingestor.acceptance.per_network_per_minute = 3;
        ingestor.serve.behind_proxy = Some(tallybox_ingestor::config::ProxyConfig { hops: 1 });
        let locality = ingestor.localities.get_mut(LOCALITY).unwrap();
        locality.attestation = AttestationPolicy::Optional;
        locality.verifier = Some(Arc::new(TestVerifier));
    })
    .await;
    let good = attest(report(0), 77, NOW);
    let mut forged = attest(report(1), 78, NOW);
    forged.signature = Some(b"a forged signature".to_vec());
    let peer = Peer::from_address(format!("{ADDRESS}:1").parse().unwrap());
    let router = world.app.router().layer(Extension(peer));
    let headers = [
        ("content-type", "application/json"),
        ("user-agent", AGENT),
        ("x-forwarded-for", FORWARDED),
    ];
    let mut output = Vec::new();
    for body in [
        report_json(&good),
        report_json(&forged),
        "{".to_owned(),
        report_json(&good),
        report_json(&good),
    ] {
        let answer = HttpAnswer::read(
            router
                .clone()
                .oneshot(post_to(LOCALITY, body, &headers))
                .await
                .unwrap(),
        )
        .await;
        output.extend_from_slice(&answer.body);
    }
    world.app.close().await;
    output.extend_from_slice(&logs.0.lock().unwrap());
    output.extend_from_slice(world.app.metrics.text().as_bytes());
    for (key, _) in world.slabs().await {
        output.extend_from_slice(
            &tallybox_transport::read_all(&*world.spool, &key, 1 << 20)
                .await
                .unwrap(),
        );
    }
    let created = NOW.to_string();
    for secret in [ADDRESS, FORWARDED, AGENT, "a forged signature", &created] {
        let found = output
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "{secret}");
    }
    let statement = good.signature.unwrap();
    assert!(
        !output
            .windows(statement.len())
            .any(|window| window == statement)
    );
}
