//! Tests that need no server.
#![allow(clippy::unwrap_used)]
use std::path::Path;

use super::endpoints::text;
use super::*;
use crate::{QueuePlace, QueueSettings};

fn open_text(json: &str) -> Result<SharedQueue, String> {
    let place: QueuePlace = serde_json::from_str(json).unwrap();
    place
        .open(Path::new("/"))
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_queue_opens_without_being_asked_for() {
    let queue = open_text(r#""sqs://us-west-2/123456789012/tasks""#).unwrap();
    assert_eq!(queue.location(), "sqs://us-west-2/123456789012/tasks");
    assert_eq!(queue.lease_time(), Duration::from_secs(600));
    let publisher = open_text(r#""sns:arn:aws:sns:us-west-2:123456789012:tasks""#).unwrap();
    let error = publisher.receive(Duration::ZERO).await.unwrap_err();
    assert!(error.to_string().contains("write url"), "{error}");
}

#[test]
fn keys_are_named_both_or_neither() {
    let with = |settings: &str| {
        let queue = r#""url": "sqs://us-west-2/123456789012/tasks""#;
        open_text(&format!(r#"{{{queue}, "settings": {settings}}}"#))
    };
    assert!(with(r#"{"access-key-id-env": "PATH", "secret-access-key-env": "PATH"}"#).is_ok());
    for (settings, expected) in [
        (r#"{"access-key-id-env": "PATH"}"#, "need each other"),
        (
            r#"{"access-key-id-env": "TALLYBOX_NOT_SET"}"#,
            "TALLYBOX_NOT_SET",
        ),
        (
            r#"{"access-key-id-env": "PATH", "access-key-id-file": "/x"}"#,
            "exclude",
        ),
        (
            r#"{"secret-access-key-file": "/nowhere/key"}"#,
            "/nowhere/key",
        ),
    ] {
        let error = with(settings).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn urls_are_those_of_the_partition_or_of_the_endpoint() {
    let url = |region: &str, settings: &QueueSettings| {
        Clients::new("q", settings)
            .unwrap()
            .queue_url(region, "1", "tasks")
    };
    let none = QueueSettings::default();
    assert_eq!(
        url("us-west-2", &none),
        "https://sqs.us-west-2.amazonaws.com/1/tasks"
    );
    assert_eq!(
        url("cn-north-1", &none),
        "https://sqs.cn-north-1.amazonaws.com.cn/1/tasks"
    );
    let local = QueueSettings {
        endpoint: Some("http://localhost:1/".into()),
        ..QueueSettings::default()
    };
    assert_eq!(url("us-west-2", &local), "http://localhost:1/1/tasks");
}

#[test]
fn only_text_is_carried() {
    assert!(text("q", "{\"a\": \"äß\u{1F4E8}\"}\r\n\t".as_bytes()).is_ok());
    for bad in [&b"\xff"[..], b"a\0b", "a\u{FFFF}".as_bytes()] {
        assert!(matches!(text("q", bad), Err(QueueError::NotText { .. })));
    }
    assert_eq!(
        [0, 1, 999, 1000, 1001].map(|ms| seconds(Duration::from_millis(ms))),
        [0, 1, 1, 1, 2]
    );
}
