//! Tests of places.
#![allow(clippy::unwrap_used)]
use super::*;

fn open(json: &str) -> Result<SharedQueue, String> {
    let place: QueuePlace = serde_json::from_str(json).map_err(|error| error.to_string())?;
    place
        .open(Path::new("/config"))
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_text_alone_is_enough() {
    let queue = open(r#""tasks/intake""#).unwrap();
    assert_eq!(queue.location(), "/config/tasks/intake");
    assert_eq!(queue.lease_time(), Duration::from_secs(600));
    let queue = open(r#"{"url": "memory:", "lease-seconds": 5}"#).unwrap();
    assert_eq!(queue.lease_time(), Duration::from_secs(5));
}

#[tokio::test]
async fn a_name_in_memory_is_one_queue_and_none_is_another_each_time() {
    let (one, two) = (
        open(r#""memory:place-test""#).unwrap(),
        open(r#""memory:place-test""#).unwrap(),
    );
    one.publish("a".into()).await.unwrap();
    let delivery = two.receive(Duration::ZERO).await.unwrap().unwrap();
    one.reject(&delivery, "bad").await.unwrap();
    let rejected = QueuePlace::new("memory:place-test")
        .open_rejected(Path::new("/"))
        .unwrap();
    let delivery = rejected.receive(Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(delivery.reason.as_deref(), Some("bad"));
    let (one, two) = (open(r#""memory:""#).unwrap(), open(r#""memory:""#).unwrap());
    one.publish("a".into()).await.unwrap();
    assert!(two.receive(Duration::ZERO).await.unwrap().is_none());
}

#[tokio::test]
async fn what_a_directory_rejects_is_read_from_its_folder() {
    let directory = tempfile::tempdir().unwrap();
    let place = QueuePlace::new("tasks");
    let queue = place.open(directory.path()).unwrap();
    queue.publish("a".into()).await.unwrap();
    let delivery = queue.receive(Duration::ZERO).await.unwrap().unwrap();
    queue.reject(&delivery, "bad").await.unwrap();
    for rejected in [
        place.open_rejected(directory.path()).unwrap(),
        QueuePlace::new("tasks/rejected")
            .open(directory.path())
            .unwrap(),
    ] {
        let delivery = rejected.receive(Duration::ZERO).await.unwrap().unwrap();
        assert_eq!(
            (&delivery.body[..], delivery.reason.as_deref()),
            (&b"a"[..], Some("bad"))
        );
        // Without a place for rejected messages, the message is returned, with its reason.
        rejected.reject(&delivery, "again").await.unwrap();
        assert_eq!(rejected.depth().await.unwrap().held, Some(1));
        queue.publish("a".into()).await.unwrap();
        let delivery = queue.receive(Duration::ZERO).await.unwrap().unwrap();
        queue.reject(&delivery, "bad").await.unwrap();
        std::fs::remove_dir_all(directory.path().join("tasks/rejected/held")).unwrap();
    }
}

#[test]
fn what_does_not_fit_says_what_to_write() {
    let sns = r#""sns:arn:aws:sns:us-west-2:123456789012:tasks""#;
    let sqs = r#""sqs://us-west-2/123456789012/tasks""#;
    let pubsub = r#""pubsub://project/tasks""#;
    for (json, expected) in [
        (r#"{"lease-seconds": 5}"#.to_owned(), "write url"),
        (
            r#"{"uri": "tasks"}"#.to_owned(),
            "unknown field `uri`, expected one of `url`, `publish`",
        ),
        (
            r#"{"url": "tasks", "settings": {"secret": "x"}}"#.to_owned(),
            "unknown field `secret`",
        ),
        ("7".to_owned(), "a queue: its place as a text"),
        (
            r#"{"url": "tasks", "publish": "others"}"#.to_owned(),
            "remove publish",
        ),
        (r#"{"publish": "others"}"#.to_owned(), "name it as url"),
        (
            r#"{"url": "tasks", "rejected": "others"}"#.to_owned(),
            "remove rejected",
        ),
        (
            r#"{"url": "tasks", "settings": {"endpoint": "https://x"}}"#.to_owned(),
            "remove it",
        ),
        (
            r#"{"url": "tasks", "lease-seconds": 0}"#.to_owned(),
            "takes 1 to",
        ),
        (
            format!(r#"{{"url": {sns}, "publish": {sns}}}"#),
            "nothing can be received from a topic",
        ),
        (
            format!(r#"{{"url": {sqs}, "publish": {pubsub}}}"#),
            "of AWS",
        ),
        (
            format!(r#"{{"url": {pubsub}, "rejected": {sns}}}"#),
            "of Pub/Sub",
        ),
        (
            format!(r#"{{"url": {sqs}, "rejected": {{"publish": {sns}, "url": {sns}}}}}"#),
            "the url of rejected",
        ),
        (
            format!(r#"{{"url": {sqs}, "rejected": {sqs}}}"#),
            "would be delivered as tasks",
        ),
        (
            format!(r#"{{"url": {pubsub}, "rejected": {pubsub}}}"#),
            "would be delivered as tasks",
        ),
        (
            format!(r#"{{"url": {sqs}, "lease-seconds": 50000}}"#),
            "takes 1 to 43200",
        ),
        (
            format!(r#"{{"url": {pubsub}, "lease-seconds": 601}}"#),
            "takes 10 to 600",
        ),
        (
            format!(r#"{{"url": {sqs}, "settings": {{"anonymous": true}}}}"#),
            "anonymous does not apply",
        ),
        (
            format!(r#"{{"url": {pubsub}, "settings": {{"access-key-id-env": "X"}}}}"#),
            "does not apply to Pub/Sub",
        ),
    ] {
        let error = open(&json).unwrap_err();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn what_was_rejected_into_a_topic_is_read_from_a_queue_that_is_named() {
    let place = |rejected: &str| -> QueuePlace {
        let url = "sqs://us-west-2/123456789012/tasks";
        serde_json::from_str(&format!(r#"{{"url": "{url}", "rejected": {rejected}}}"#)).unwrap()
    };
    let error = |place: QueuePlace| {
        place
            .open_rejected(Path::new("/"))
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    let topic = error(place(
        r#""sns:arn:aws:sns:us-west-2:123456789012:rejected""#,
    ));
    assert!(topic.contains("{publish: sns:…, url: sqs://…}"), "{topic}");
    let none = error(QueuePlace::new("sqs://us-west-2/123456789012/tasks"));
    assert!(none.contains("write rejected"), "{none}");
}

#[test]
#[cfg(not(any(feature = "aws", feature = "gcp")))]
fn a_build_without_the_cloud_says_which_feature_it_lacks() {
    for (json, feature) in [
        (r#""sqs://us-west-2/123456789012/tasks""#, "aws"),
        (r#""sns:arn:aws:sns:us-west-2:123456789012:tasks""#, "aws"),
        (r#""pubsub://project/tasks""#, "gcp"),
    ] {
        let error = open(json).unwrap_err();
        assert!(
            error.contains(&format!("cargo feature \"{feature}\"")),
            "{error}"
        );
    }
}

#[test]
fn the_samples_are_what_they_say() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Samples {
        directory: QueuePlace,
        aws: QueuePlace,
        aws_publisher: QueuePlace,
        gcp: QueuePlace,
        gcp_short: QueuePlace,
        emulator: QueuePlace,
    }
    let text = include_str!("../../config/queues.yaml");
    let samples: Samples = serde_saphyr::from_str(text).unwrap();
    let plan = |place: &QueuePlace| QueueSpec::new(place, Path::new("/config")).unwrap();
    for place in [
        &samples.directory,
        &samples.aws_publisher,
        &samples.gcp_short,
        &samples.emulator,
    ] {
        plan(place);
    }
    assert_eq!(samples.aws_publisher.url, None);
    assert_eq!(samples.aws.lease_time(), Duration::from_secs(600));
    for place in [&samples.aws, &samples.gcp] {
        let shown = format!("{:?}", plan(place));
        let shown = shown.split("lease_time").next().unwrap();
        assert!(!shown.contains("None"), "everything is shown once: {shown}");
    }
}
