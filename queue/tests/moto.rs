//! The conformance suite for SQS, alone and fed by SNS, on the server `moto`.
//!
//! `TALLYBOX_MOTO` contains the path of the server, as printed by `scripts/moto`. Without it, the
//! tests print a message and pass, except in CI, where they fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod server;

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use server::{Server, program};
use tallybox_queue::conformance::{ConformanceTimes, Subject, conformance_at_once};
use tallybox_queue::{Lease, QueueError, QueuePlace, SharedQueue};

const REGION: &str = "us-east-1";
const ACCOUNT: &str = "123456789012";
/// Long polls take whole seconds.
const LEASE: Duration = Duration::from_secs(5);
const SNS_BYTES: usize = (256 << 10) - 1024;

struct Moto {
    server: Server,
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
    named: Cell<u32>,
}

impl Moto {
    fn start() -> Option<Self> {
        let Some(program) = program("TALLYBOX_MOTO") else {
            assert!(
                std::env::var_os("CI").is_none(),
                "TALLYBOX_MOTO is not set: see scripts/moto"
            );
            eprintln!(
                "SKIPPED: nothing is tested on SQS and SNS. TALLYBOX_MOTO=$(scripts/moto) is missing"
            );
            return None;
        };
        let server = Server::start(&program, |port| {
            ["-H", "127.0.0.1", "-p", &port.to_string()]
                .map(str::to_owned)
                .to_vec()
        });
        let credentials = || Credentials::new("id", "key", None, None, "test");
        let sqs = aws_sdk_sqs::Config::builder().behavior_version(BehaviorVersion::latest());
        let sqs = sqs
            .region(Region::new(REGION))
            .credentials_provider(credentials())
            .endpoint_url(server.url());
        let sns = aws_sdk_sns::Config::builder().behavior_version(BehaviorVersion::latest());
        let sns = sns
            .region(Region::new(REGION))
            .credentials_provider(credentials())
            .endpoint_url(server.url());
        Some(Self {
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            sns: aws_sdk_sns::Client::from_conf(sns.build()),
            named: Cell::new(0),
            server,
        })
    }

    fn name(&self, what: &str) -> String {
        self.named.set(self.named.get() + 1);
        format!("{what}-{}", self.named.get())
    }

    /// Creates a queue and returns its place.
    async fn queue(&self, what: &str) -> String {
        let name = self.name(what);
        self.sqs
            .create_queue()
            .queue_name(&name)
            .send()
            .await
            .unwrap();
        format!("sqs://{REGION}/{ACCOUNT}/{name}")
    }

    /// Creates a topic that feeds a queue.
    async fn topic(&self, queue: &str) -> String {
        let name = self.name("topic");
        let topic = self.sns.create_topic().name(name).send().await.unwrap();
        let arn = topic.topic_arn().unwrap();
        let subscribe = self.sns.subscribe().topic_arn(arn).protocol("sqs");
        let (_, queue) = queue.rsplit_once('/').unwrap();
        let subscribe = subscribe.endpoint(format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"));
        subscribe
            .attributes("RawMessageDelivery", "true")
            .send()
            .await
            .unwrap();
        format!("sns:{arn}")
    }

    /// Parses a place from the JSON of a configuration.
    fn place(&self, mut place: serde_json::Value) -> QueuePlace {
        place["lease-seconds"] = LEASE.as_secs().into();
        place["settings"] = serde_json::json!({
            "endpoint": self.server.url(),
            "allow-http": true,
            "access-key-id-file": self.server.file("id"),
            "secret-access-key-file": self.server.file("key"),
        });
        serde_json::from_value(place).unwrap()
    }

    fn subject(&self, place: serde_json::Value, limit: usize) -> Subject {
        let place = self.place(place);
        let open = || place.open(Path::new("/")).unwrap();
        Subject {
            queue: open(),
            other: open(),
            rejected: place.open_rejected(Path::new("/")).unwrap(),
            pace: ConformanceTimes {
                receive_timeout: Duration::from_secs(2),
                slack: Duration::from_secs(2),
                delay: Some(Duration::from_secs(2)),
                limit: Some(limit),
                ..ConformanceTimes::exact(LEASE)
            },
        }
    }

    fn open(&self, place: serde_json::Value) -> SharedQueue {
        self.place(place).open(Path::new("/")).unwrap()
    }
}

#[tokio::test]
async fn sqs_alone_does_what_every_queue_has_to() {
    let Some(moto) = Moto::start() else { return };
    let subject = || async {
        let (url, rejected) = (moto.queue("tasks").await, moto.queue("rejected").await);
        moto.subject(
            serde_json::json!({"url": url, "rejected": rejected}),
            (1 << 20) - 1024,
        )
    };
    conformance_at_once(subject).await;
}

#[tokio::test]
async fn sqs_fed_by_sns_does_too() {
    let Some(moto) = Moto::start() else { return };
    let subject = || async {
        let (url, aside) = (moto.queue("tasks").await, moto.queue("rejected").await);
        let (publish, rejected) = (moto.topic(&url).await, moto.topic(&aside).await);
        let rejected = serde_json::json!({"publish": rejected, "url": aside});
        moto.subject(
            serde_json::json!({"url": url, "publish": publish, "rejected": rejected}),
            SNS_BYTES,
        )
    };
    conformance_at_once(subject).await;
}

#[tokio::test]
async fn a_topic_feeds_every_queue_that_is_subscribed_to_it() {
    let Some(moto) = Moto::start() else { return };
    let (one, two) = (moto.queue("one").await, moto.queue("two").await);
    let topic = moto.topic(&one).await;
    let arn = topic.strip_prefix("sns:").unwrap();
    let (_, name) = two.rsplit_once('/').unwrap();
    let subscribe = moto.sns.subscribe().topic_arn(arn).protocol("sqs");
    let subscribe = subscribe.endpoint(format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"));
    subscribe
        .attributes("RawMessageDelivery", "true")
        .send()
        .await
        .unwrap();
    let publisher = moto.open(serde_json::json!({"publish": topic}));
    publisher
        .publish(r#"{"trace-id":"x"}"#.into())
        .await
        .unwrap();
    for url in [one, two] {
        let queue = moto.open(serde_json::json!({"url": url}));
        let delivery = queue.receive(LEASE).await.unwrap().unwrap();
        assert_eq!(delivery.body, r#"{"trace-id":"x"}"#);
        assert_eq!(delivery.attempt, Some(1));
        let age = delivery.published.unwrap().elapsed().unwrap();
        assert!(age < Duration::from_secs(60), "{age:?}");
    }
}

#[tokio::test]
async fn what_is_missing_is_the_operators_to_create() {
    let Some(moto) = Moto::start() else { return };
    let queue = moto.open(serde_json::json!({
        "url": format!("sqs://{REGION}/{ACCOUNT}/nowhere"),
        "publish": format!("sns:arn:aws:sns:{REGION}:{ACCOUNT}:nowhere"),
    }));
    for error in [
        queue.receive(Duration::ZERO).await.map(drop).unwrap_err(),
        queue.publish("a".into()).await.unwrap_err(),
        queue.depth().await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, QueueError::Setting { .. }), "{error:?}");
        assert!(error.to_string().contains("create it"), "{error}");
    }
    let there = moto.open(serde_json::json!({"url": moto.queue("there").await}));
    let lost = there.ack(&Lease::new("nonsense")).await;
    assert!(
        matches!(lost, Err(QueueError::LeaseLost { .. })),
        "{lost:?}"
    );
    let refused = there.publish(b"\xff".to_vec().into()).await;
    assert!(
        matches!(refused, Err(QueueError::NotText { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn without_a_place_for_rejected_ones_a_message_is_given_back() {
    let Some(moto) = Moto::start() else { return };
    let queue = moto.open(serde_json::json!({"url": moto.queue("tasks").await}));
    queue.publish("a".into()).await.unwrap();
    let delivery = queue.receive(LEASE).await.unwrap().unwrap();
    queue.reject(&delivery, "bad").await.unwrap();
    let depth = queue.depth().await.unwrap();
    assert_eq!(
        (depth.ready, depth.held, depth.rejected),
        (Some(0), Some(1), None)
    );
    tokio::time::sleep(LEASE).await;
    assert!(
        queue.receive(Duration::ZERO).await.unwrap().is_none(),
        "it is not in the way"
    );
}
