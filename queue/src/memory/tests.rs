//! Tests of the queue in memory.
#![allow(clippy::unwrap_used)]
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::conformance::{ConformanceTimes, Subject, conformance};

const LEASE: Duration = Duration::from_secs(60);

fn subject(queue: &MemoryQueue) -> Subject {
    Subject {
        queue: Arc::new(queue.clone()),
        other: Arc::new(queue.clone()),
        rejected: Arc::new(queue.rejected()),
        pace: ConformanceTimes::exact(LEASE),
    }
}

#[tokio::test(start_paused = true)]
async fn it_does_what_every_queue_has_to() {
    conformance(|| async { subject(&MemoryQueue::new("tasks", LEASE)) }).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_one_with_a_time_of_its_own() {
    conformance(|| async {
        let start = Instant::now();
        let now = Arc::new(move || start.elapsed());
        subject(&MemoryQueue::with_time("tasks", LEASE, now))
    })
    .await;
}

/// Returns a queue whose time is a number of seconds.
fn manual() -> (MemoryQueue, Arc<AtomicU64>) {
    let seconds = Arc::new(AtomicU64::new(1000));
    let read = Arc::clone(&seconds);
    let now = Arc::new(move || Duration::from_secs(read.load(Ordering::SeqCst)));
    (MemoryQueue::with_time("tasks", LEASE, now), seconds)
}

async fn receive_now(queue: &MemoryQueue) -> Option<(Delivery, String)> {
    let delivery = queue.receive(Duration::ZERO).await.unwrap()?;
    let text = String::from_utf8(delivery.body.to_vec()).unwrap();
    Some((delivery, text))
}

#[tokio::test]
async fn what_is_ready_comes_in_the_order_in_which_it_became_so() {
    let (queue, seconds) = manual();
    for text in ["a", "b", "c"] {
        queue.publish(text.into()).await.unwrap();
    }
    let (a, _) = receive_now(&queue).await.unwrap();
    let (b, _) = receive_now(&queue).await.unwrap();
    queue.nack(&b.lease, Duration::from_secs(5)).await.unwrap();
    queue.nack(&a.lease, Duration::ZERO).await.unwrap();
    queue.publish("d".into()).await.unwrap();
    assert_eq!(queue.next_ready(), Some(Duration::from_secs(1005)));
    seconds.store(1005, Ordering::SeqCst);
    let mut order = String::new();
    while let Some((delivery, text)) = receive_now(&queue).await {
        order.push_str(&text);
        queue.ack(&delivery.lease).await.unwrap();
    }
    assert_eq!(order, "cadb");
    assert_eq!(queue.next_ready(), None);
}

#[tokio::test]
async fn a_lease_ends_at_its_time_even_if_nobody_takes_the_message() {
    let (queue, seconds) = manual();
    queue.publish("a".into()).await.unwrap();
    let (delivery, _) = receive_now(&queue).await.unwrap();
    assert_eq!(
        delivery.published,
        Some(UNIX_EPOCH + Duration::from_secs(1000))
    );
    seconds.store(1059, Ordering::SeqCst);
    queue
        .extend(&delivery.lease, Duration::from_secs(2))
        .await
        .unwrap();
    seconds.store(1061, Ordering::SeqCst);
    let late = queue.ack(&delivery.lease).await;
    assert!(
        matches!(late, Err(QueueError::LeaseLost { .. })),
        "{late:?}"
    );
    let (redelivered, _) = receive_now(&queue).await.unwrap();
    assert_eq!(redelivered.attempt, Some(2));
    assert!(queue.ack(&delivery.lease).await.is_err());
    queue.ack(&redelivered.lease).await.unwrap();
    assert!(queue.ack(&redelivered.lease).await.is_err(), "only once");
}

#[tokio::test]
async fn a_rejected_message_that_is_rejected_again_stays() {
    let (queue, seconds) = manual();
    queue.publish("a".into()).await.unwrap();
    let (delivery, _) = receive_now(&queue).await.unwrap();
    queue.reject(&delivery, "bad").await.unwrap();
    let rejected = queue.rejected();
    let (delivery, _) = receive_now(&rejected).await.unwrap();
    rejected.reject(&delivery, "still bad").await.unwrap();
    assert!(receive_now(&rejected).await.is_none());
    seconds.fetch_add(REJECTED_DELAY.as_secs(), Ordering::SeqCst);
    let (delivery, _) = receive_now(&rejected).await.unwrap();
    assert_eq!(delivery.reason.as_deref(), Some("bad"));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_receiver_wakes_when_something_is_published_or_a_lease_ends() {
    let queue = MemoryQueue::new("tasks", LEASE);
    let waiting = queue.clone();
    let task =
        tokio::spawn(async move { waiting.receive(Duration::from_secs(3600)).await.unwrap() });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    queue.publish("a".into()).await.unwrap();
    assert!(task.await.unwrap().is_some());
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert!(
        queue
            .receive(Duration::from_secs(3600))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(before.elapsed().as_secs(), LEASE.as_secs());
}
