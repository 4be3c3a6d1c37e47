//! Tests of the queue in a directory.
#![allow(clippy::unwrap_used)]
use std::fs;
use std::path::Path;

use super::*;
use crate::conformance::{ConformanceTimes, Subject, conformance};

const LEASE: Duration = Duration::from_secs(2);

fn subject(directory: &Path) -> Subject {
    let queue = DirectoryQueue::new(directory, LEASE);
    Subject {
        rejected: Arc::new(queue.rejected()),
        queue: Arc::new(queue),
        other: Arc::new(DirectoryQueue::new(directory, LEASE)),
        pace: ConformanceTimes::exact(LEASE),
    }
}

#[tokio::test]
async fn it_does_what_every_queue_has_to() {
    let all = tempfile::tempdir().unwrap();
    let next = std::cell::Cell::new(0);
    conformance(|| {
        next.set(next.get() + 1);
        let directory = all.path().join(format!("deeper/queue-{}", next.get()));
        async move { subject(&directory) }
    })
    .await;
}

fn queue() -> (tempfile::TempDir, DirectoryQueue) {
    let directory = tempfile::tempdir().unwrap();
    let queue = DirectoryQueue::new(directory.path().join("tasks"), Duration::from_secs(60));
    (directory, queue)
}

async fn receive_now(queue: &DirectoryQueue) -> Option<Delivery> {
    queue.receive(Duration::ZERO).await.unwrap()
}

#[tokio::test]
async fn what_one_process_publishes_keeps_its_order() {
    let (_directory, queue) = queue();
    for n in 0..20 {
        queue.publish(format!("{n}").into()).await.unwrap();
    }
    for n in 0..20 {
        assert_eq!(receive_now(&queue).await.unwrap().body, format!("{n}"));
    }
    assert!(receive_now(&queue).await.is_none());
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_an_empty_queue() {
    let (_directory, queue) = queue();
    assert!(receive_now(&queue).await.is_none());
    let none = Some(0);
    let (ready, held, rejected) = (none, none, none);
    assert_eq!(
        queue.depth().await.unwrap(),
        Depth {
            ready,
            held,
            rejected
        }
    );
    assert!(!queue.shared.files.root().exists(), "asking makes nothing");
}

#[tokio::test]
async fn foreign_files_are_left_alone() {
    let (_directory, queue) = queue();
    queue.publish("a".into()).await.unwrap();
    let ready = queue.shared.files.root().join("ready");
    for folder in [
        ready.clone(),
        fs::read_dir(&ready)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path(),
    ] {
        fs::write(folder.join("README"), "x").unwrap();
        fs::create_dir(folder.join("a-folder")).unwrap();
    }
    let delivery = receive_now(&queue).await.unwrap();
    assert!(receive_now(&queue).await.is_none());
    queue.ack(&delivery.lease).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().ready, Some(0));
}

#[tokio::test]
async fn a_lease_that_was_given_back_is_worth_nothing() {
    let (_directory, queue) = queue();
    queue.publish("a".into()).await.unwrap();
    let delivery = receive_now(&queue).await.unwrap();
    queue
        .nack(&delivery.lease, Duration::from_secs(9))
        .await
        .unwrap();
    let lease = &delivery.lease;
    let all = [
        queue.ack(lease).await,
        queue.nack(lease, Duration::ZERO).await,
        queue.extend(lease, Duration::from_secs(99)).await,
        queue.reject(&delivery, "late").await,
        queue.ack(&Lease::new("nonsense")).await,
    ];
    for result in all {
        assert!(
            matches!(result, Err(QueueError::LeaseLost { .. })),
            "{result:?}"
        );
    }
    let (ready, held, rejected) = (Some(0), Some(1), Some(0));
    assert_eq!(
        queue.depth().await.unwrap(),
        Depth {
            ready,
            held,
            rejected
        }
    );
}

#[tokio::test]
async fn what_a_clock_set_back_leaves_is_received_if_it_was_ready() {
    let (_directory, queue) = queue();
    let staged = queue.shared.files.stage(b"from tomorrow").unwrap();
    let tomorrow = micros(SystemTime::now() + Duration::from_secs(86_400));
    queue.shared.files.publish(staged, tomorrow).unwrap();
    assert_eq!(receive_now(&queue).await.unwrap().body, "from tomorrow");
}

#[tokio::test]
async fn empty_folders_of_the_past_go() {
    let (_directory, queue) = queue();
    let staged = queue.shared.files.stage(b"of yesterday").unwrap();
    let yesterday = micros(SystemTime::now() - Duration::from_secs(86_400));
    queue.shared.files.publish(staged, yesterday).unwrap();
    let delivery = receive_now(&queue).await.unwrap();
    queue.ack(&delivery.lease).await.unwrap();
    assert!(receive_now(&queue).await.is_none());
    let ready = queue.shared.files.root().join("ready");
    assert_eq!(fs::read_dir(ready).unwrap().count(), 0);
    queue.publish("b".into()).await.unwrap();
    assert_eq!(receive_now(&queue).await.unwrap().body, "b");
}

#[tokio::test]
async fn what_killed_writers_left_is_swept_once_it_is_old() {
    let (_directory, queue) = queue();
    let staging = queue.shared.files.root().join("staging");
    fs::create_dir_all(&staging).unwrap();
    let file = fs::File::create(staging.join("old")).unwrap();
    fs::write(staging.join("young"), "x").unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(7200))
        .unwrap();
    queue.publish("a".into()).await.unwrap();
    let left: Vec<_> = fs::read_dir(staging)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["young"]);
}

#[tokio::test]
async fn a_hundred_thousand_messages_do_not_slow_it_down() {
    let (_directory, queue) = queue();
    let files = &queue.shared.files;
    queue.publish("first".into()).await.unwrap();
    let now = micros(SystemTime::now());
    // Like published messages, but not synced individually: half of them ready, half held.
    for n in 0..100_000_u64 {
        let (tree, time) = if n % 2 == 0 {
            ("ready", now + 1 + n)
        } else {
            ("held", now + 3_600_000_000 + n)
        };
        let id = format!("x{n}");
        let (published, attempt, leased) = (now, 1, false);
        let name = Name {
            time,
            published,
            attempt,
            leased,
            id,
        };
        let folder = files.root().join(tree).join(name.folder());
        if n < 2 || !folder.is_dir() {
            fs::create_dir_all(&folder).unwrap();
        }
        fs::write(folder.join(name.to_string()), "task").unwrap();
    }
    let start = std::time::Instant::now();
    for n in 0..1000 {
        let delivery = receive_now(&queue).await.unwrap();
        assert_eq!(delivery.body == "first", n == 0, "the oldest comes first");
        queue.ack(&delivery.lease).await.unwrap();
    }
    let each = start.elapsed() / 1000;
    println!("{each:?} to receive and acknowledge one");
    assert!(each < Duration::from_millis(10), "{each:?}");
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.ready, depth.held), (Some(49_001), Some(50_000)));
}
