//! The conformance suite for Pub/Sub, on the emulator of Google's SDK.
//!
//! `TALLYBOX_PUBSUB` contains the path of the emulator, as printed by `scripts/pubsub-emulator`.
//! Without it, the test prints a message and passes, because the emulator is in no package
//! registry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod server;

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use server::{Server, program};
use tallybox_queue::conformance::{ConformanceTimes, Subject, conformance_at_once};
use tallybox_queue::{Lease, QueueError, QueuePlace, SharedQueue};

/// The minimum lease time of a subscription.
const LEASE: Duration = Duration::from_secs(10);

struct Emulator {
    server: Server,
    client: reqwest::Client,
    named: Cell<u32>,
}

impl Emulator {
    async fn start() -> Option<Self> {
        let Some(program) = program("TALLYBOX_PUBSUB") else {
            eprintln!(
                "SKIPPED: nothing is tested on Pub/Sub. TALLYBOX_PUBSUB=$(scripts/pubsub-emulator) is missing"
            );
            return None;
        };
        let server = Server::start(&program, |port| {
            vec!["--host=127.0.0.1".into(), format!("--port={port}")]
        });
        let (client, named) = (reqwest::Client::new(), Cell::new(0));
        let emulator = Self {
            server,
            client,
            named,
        };
        // The emulator accepts connections before it can respond.
        while emulator.put("topics/started", "{}").await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Some(emulator)
    }

    async fn put(&self, path: &str, body: &str) -> reqwest::Result<()> {
        let url = format!("{}/v1/projects/project/{path}", self.server.url());
        let answer = self
            .client
            .put(url)
            .header("content-type", "application/json")
            .body(body.to_owned())
            .send()
            .await?;
        answer.error_for_status().map(drop)
    }

    /// Creates a topic and a subscription of the same name, and returns their place.
    async fn queue(&self, what: &str, more: &str) -> String {
        self.named.set(self.named.get() + 1);
        let name = format!("{what}-{}", self.named.get());
        self.put(&format!("topics/{name}"), "{}").await.unwrap();
        let subscription = format!(
            r#"{{"topic": "projects/project/topics/{name}", "ackDeadlineSeconds": 60 {more}}}"#
        );
        self.put(&format!("subscriptions/{name}"), &subscription)
            .await
            .unwrap();
        format!("pubsub://project/{name}")
    }

    fn place(&self, mut place: serde_json::Value) -> QueuePlace {
        place["lease-seconds"] = LEASE.as_secs().into();
        place["settings"] = serde_json::json!({"endpoint": self.server.url(), "allow-http": true, "anonymous": true});
        serde_json::from_value(place).unwrap()
    }

    fn open(&self, place: serde_json::Value) -> SharedQueue {
        self.place(place).open(Path::new("/")).unwrap()
    }
}

#[tokio::test]
async fn pubsub_does_what_every_queue_has_to() {
    let Some(emulator) = Emulator::start().await else {
        return;
    };
    let subject = || async {
        let (url, rejected) = (
            emulator.queue("tasks", "").await,
            emulator.queue("rejected", "").await,
        );
        let place = emulator.place(serde_json::json!({"url": url, "rejected": rejected}));
        let open = || place.open(Path::new("/")).unwrap();
        Subject {
            queue: open(),
            other: open(),
            rejected: place.open_rejected(Path::new("/")).unwrap(),
            pace: ConformanceTimes {
                receive_timeout: Duration::from_secs(4),
                slack: Duration::from_secs(3),
                delay: Some(Duration::from_secs(4)),
                limit: Some(7_000_000),
                counts: false,
                ..ConformanceTimes::exact(LEASE)
            },
        }
    };
    conformance_at_once(subject).await;
}

#[tokio::test]
async fn what_is_missing_or_lost_is_said() {
    let Some(emulator) = Emulator::start().await else {
        return;
    };
    let nowhere = emulator.open(serde_json::json!({"url": "pubsub://project/nowhere"}));
    for error in [
        nowhere.receive(Duration::ZERO).await.map(drop).unwrap_err(),
        nowhere.publish("a".into()).await.unwrap_err(),
    ] {
        assert!(matches!(error, QueueError::Setting { .. }), "{error:?}");
        assert!(
            error.to_string().contains("/nowhere does not exist"),
            "{error}"
        );
    }
    let queue = emulator.open(serde_json::json!({"url": emulator.queue("tasks", "").await}));
    let nonsense = queue.ack(&Lease::new("nonsense")).await;
    println!("{nonsense:?}");
    assert!(
        matches!(nonsense, Ok(()) | Err(QueueError::LeaseLost { .. })),
        "{nonsense:?}"
    );
    // A subscription with exactly-once delivery detects which lease is the latest.
    let exactly = emulator
        .queue("exactly", r#", "enableExactlyOnceDelivery": true"#)
        .await;
    let queue = emulator.open(serde_json::json!({"url": exactly}));
    queue.publish("a".into()).await.unwrap();
    let first = queue.receive(LEASE).await.unwrap().unwrap();
    queue.nack(&first.lease, Duration::ZERO).await.unwrap();
    let second = queue.receive(LEASE).await.unwrap().unwrap();
    let late = queue.ack(&first.lease).await;
    assert!(
        matches!(late, Err(QueueError::LeaseLost { .. })),
        "{late:?}"
    );
    queue.ack(&second.lease).await.unwrap();
}
