//! The requirements of every queue, as a test suite for any implementation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test suite: a panic is its result"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::{Delivery, QueueError, SharedQueue};

/// The timing of a queue under test.
#[derive(Clone, Copy, Debug)]
pub struct ConformanceTimes {
    /// The lease time of the queue, equal to its [`crate::TaskQueue::lease_time`].
    pub lease: Duration,
    /// A wait that is long enough to receive a ready message.
    pub receive_timeout: Duration,
    /// The maximum delay beyond the promised time at which a message becomes ready again.
    pub slack: Duration,
    /// The delay for messages that are returned with one; `None` if the server ignores delays.
    pub delay: Option<Duration>,
    /// The maximum size of a message in bytes; `None` skips the test of sizes.
    pub limit: Option<usize>,
    /// Whether [`crate::TaskQueue::depth`] counts ready and held messages.
    pub counts: bool,
}

impl ConformanceTimes {
    /// Returns the timing of a queue that is exact in all respects.
    #[must_use]
    pub fn exact(lease: Duration) -> Self {
        Self {
            lease,
            receive_timeout: lease / 4,
            slack: lease / 4,
            delay: Some(lease / 2),
            limit: Some(crate::limits::MESSAGE_BYTES),
            counts: true,
        }
    }
}

/// An empty queue under test.
pub struct Subject {
    /// The queue.
    pub queue: SharedQueue,
    /// The same queue, opened a second time.
    pub other: SharedQueue,
    /// The queue of its rejected messages.
    pub rejected: SharedQueue,
    /// The expected timing.
    pub pace: ConformanceTimes,
}

/// Runs the whole suite. `make` returns a new, empty queue each time. Panics at the first failure.
pub async fn conformance<F: Future<Output = Subject>>(make: impl Fn() -> F) {
    messages_come_and_go(&make().await).await;
    nothing_is_waited_for(&make().await).await;
    a_lease_that_runs_out(&make().await).await;
    an_extended_lease(&make().await).await;
    given_back(&make().await).await;
    rejected(&make().await).await;
    counted(&make().await).await;
    two_consumers(&make().await).await;
    sizes(&make().await).await;
}

/// Runs the same tests concurrently, for servers whose time cannot be paused.
pub async fn conformance_at_once<F: Future<Output = Subject>>(make: impl Fn() -> F) {
    tokio::join!(
        async { messages_come_and_go(&make().await).await },
        async { nothing_is_waited_for(&make().await).await },
        async { a_lease_that_runs_out(&make().await).await },
        async { an_extended_lease(&make().await).await },
        async { given_back(&make().await).await },
        async { rejected(&make().await).await },
        async { counted(&make().await).await },
        async { two_consumers(&make().await).await },
        async { sizes(&make().await).await },
    );
}

impl Subject {
    async fn publish(&self, text: &str) {
        self.queue
            .publish(Bytes::copy_from_slice(text.as_bytes()))
            .await
            .unwrap();
    }

    /// Receives a message that has to be ready.
    async fn receive_expected(&self) -> Delivery {
        let received = self.queue.receive(self.pace.receive_timeout).await.unwrap();
        received.expect("a message is ready")
    }

    /// Asserts that no message is ready now.
    async fn assert_nothing(&self, why: &str) {
        let received = self.queue.receive(Duration::ZERO).await.unwrap();
        assert!(received.is_none(), "{why}: {received:?}");
    }

    /// Asserts that the message is delivered again `after` the moment `since`, and not earlier.
    async fn comes_back(&self, since: Instant, after: Duration) -> Delivery {
        let wait = after + self.pace.slack;
        let received = self
            .queue
            .receive(wait)
            .await
            .unwrap()
            .expect("it comes back");
        let (took, slack) = (since.elapsed(), self.pace.slack);
        assert!(
            took + slack / 2 >= after,
            "it came back after {took:?}, not {after:?}"
        );
        received
    }
}

async fn messages_come_and_go(subject: &Subject) {
    let texts: BTreeSet<String> = (0..5)
        .map(|n| format!("{{\"task\": \"{n} äß\"}}"))
        .collect();
    for text in &texts {
        subject.publish(text).await;
    }
    let mut received = BTreeSet::new();
    for _ in 0..texts.len() {
        let delivery = subject.receive_expected().await;
        assert_eq!(
            delivery.attempt.unwrap_or(1),
            1,
            "handed out for the first time"
        );
        assert_eq!(delivery.reason, None);
        assert!(
            delivery.published.is_some(),
            "the queue says when it was published"
        );
        subject.queue.ack(&delivery.lease).await.unwrap();
        received.insert(String::from_utf8(delivery.body.to_vec()).unwrap());
    }
    assert_eq!(
        received, texts,
        "what was published is received, byte for byte"
    );
    subject.assert_nothing("all were acknowledged").await;
    sleep(subject.pace.lease + subject.pace.slack).await;
    subject
        .assert_nothing("what was acknowledged does not come back")
        .await;
}

async fn nothing_is_waited_for(subject: &Subject) {
    subject.assert_nothing("it is empty").await;
    let start = Instant::now();
    let wait = subject.pace.receive_timeout;
    assert!(subject.queue.receive(wait).await.unwrap().is_none());
    let took = start.elapsed();
    assert!(took >= wait / 2, "it waited only {took:?} of {wait:?}");
    assert!(
        took <= wait + subject.pace.slack,
        "it waited {took:?} instead of {wait:?}"
    );
}

async fn a_lease_that_runs_out(subject: &Subject) {
    subject.publish("a").await;
    let start = Instant::now();
    let first = subject.receive_expected().await;
    subject.assert_nothing("it is leased").await;
    let second = subject.comes_back(start, subject.pace.lease).await;
    assert_eq!(second.body, first.body);
    assert_ne!(
        second.lease, first.lease,
        "another lease of the same message"
    );
    assert!(second.attempt.unwrap_or(2) >= 2, "{second:?}");
    // If the queue accepts the late acknowledgement, the message is removed, and the second
    // acknowledgement finds no message.
    match subject.queue.ack(&first.lease).await {
        Err(QueueError::LeaseLost { .. }) => subject.queue.ack(&second.lease).await.unwrap(),
        Ok(()) => match subject.queue.ack(&second.lease).await {
            Ok(()) | Err(QueueError::LeaseLost { .. }) => {}
            Err(error) => panic!("{error}"),
        },
        Err(error) => panic!("a late acknowledgement is lost or harmless: {error}"),
    }
    sleep(subject.pace.lease + subject.pace.slack).await;
    subject.assert_nothing("it was acknowledged").await;
}

async fn an_extended_lease(subject: &Subject) {
    subject.publish("a").await;
    let (lease, queue) = (subject.pace.lease, &subject.queue);
    let delivery = subject.receive_expected().await;
    for _ in 0..3 {
        sleep(lease / 2).await;
        queue.extend(&delivery.lease, lease).await.unwrap();
        subject.assert_nothing("it was extended").await;
    }
    let last = Instant::now();
    let redelivered = subject.comes_back(last, lease).await;
    queue.ack(&redelivered.lease).await.unwrap();
    subject.assert_nothing("it was acknowledged").await;
}

async fn given_back(subject: &Subject) {
    subject.publish("a").await;
    let queue = &subject.queue;
    let mut delivery = subject.receive_expected().await;
    let start = Instant::now();
    queue.nack(&delivery.lease, Duration::ZERO).await.unwrap();
    delivery = subject.comes_back(start, Duration::ZERO).await;
    assert!(delivery.attempt.unwrap_or(2) >= 2, "{delivery:?}");
    if let Some(delay) = subject.pace.delay {
        let start = Instant::now();
        queue.nack(&delivery.lease, delay).await.unwrap();
        subject.assert_nothing("it is delayed").await;
        delivery = subject.comes_back(start, delay).await;
        assert!(delivery.attempt.unwrap_or(3) >= 3, "{delivery:?}");
    }
    queue.ack(&delivery.lease).await.unwrap();
    subject.assert_nothing("it was acknowledged").await;
}

async fn rejected(subject: &Subject) {
    let body = "not a task: \u{1F4E8}";
    subject.publish(body).await;
    let delivery = subject.receive_expected().await;
    let reason = "batch 3f: header signature does not verify with key k2";
    subject.queue.reject(&delivery, reason).await.unwrap();
    sleep(subject.pace.lease + subject.pace.slack).await;
    subject.assert_nothing("it was set aside").await;
    let depth = subject.queue.depth().await.unwrap();
    assert_eq!(depth.rejected.unwrap_or(1), 1, "{depth:?}");
    let aside = subject
        .rejected
        .receive(subject.pace.receive_timeout)
        .await
        .unwrap();
    let aside = aside.expect("it is among the rejected");
    assert_eq!(aside.body, body, "byte for byte");
    assert_eq!(aside.reason.as_deref(), Some(reason));
    subject.rejected.ack(&aside.lease).await.unwrap();
    let none = subject.rejected.receive(Duration::ZERO).await.unwrap();
    assert!(none.is_none(), "{none:?}");
}

async fn counted(subject: &Subject) {
    let queue = &subject.queue;
    let depth = queue.depth().await.unwrap();
    let counts = |ready, held| subject.pace.counts.then_some((Some(ready), Some(held)));
    let of = |depth: crate::Depth| subject.pace.counts.then_some((depth.ready, depth.held));
    assert_eq!(of(depth), counts(0, 0));
    for n in 0..4 {
        subject.publish(&format!("{n}")).await;
    }
    assert_eq!(of(queue.depth().await.unwrap()), counts(4, 0));
    let first = subject.receive_expected().await;
    let second = subject.receive_expected().await;
    queue.ack(&first.lease).await.unwrap();
    assert_eq!(of(queue.depth().await.unwrap()), counts(2, 1));
    queue.ack(&second.lease).await.unwrap();
    assert_eq!(of(queue.depth().await.unwrap()), counts(2, 0));
    for _ in 0..2 {
        let delivery = subject.receive_expected().await;
        queue.ack(&delivery.lease).await.unwrap();
    }
    assert!(!queue.location().is_empty());
    assert_eq!(queue.lease_time(), subject.pace.lease);
}

/// Two consumers receive concurrently. Neither may have a message that the other has leased.
async fn two_consumers(subject: &Subject) {
    let all = 12;
    for n in 0..all {
        subject.publish(&format!("{n}")).await;
    }
    let receive_timeout = subject.pace.receive_timeout / 8;
    let drain = |queue: SharedQueue| async move {
        let mut received = Vec::new();
        let mut misses = 0;
        // A cloud queue may report that it is empty when it has only searched a part of its
        // servers.
        while misses < 2 {
            match queue.receive(receive_timeout).await.unwrap() {
                Some(delivery) => received.push((delivery, Instant::now())),
                None => misses += 1,
            }
        }
        received
    };
    let start = Instant::now();
    let (first, second) = tokio::join!(
        drain(SharedQueue::clone(&subject.queue)),
        drain(SharedQueue::clone(&subject.other))
    );
    assert!(
        start.elapsed() < subject.pace.lease,
        "the machine is too slow for leases of {:?}",
        subject.pace.lease
    );
    let bodies: BTreeSet<&Bytes> = first
        .iter()
        .chain(&second)
        .map(|(delivery, _)| &delivery.body)
        .collect();
    assert_eq!(bodies.len(), all, "each message was taken");
    assert_eq!(first.len() + second.len(), all, "by one of them");
    // A lease that one handle received is valid for the other.
    for (delivery, _) in first.iter().chain(&second) {
        subject.queue.ack(&delivery.lease).await.unwrap();
    }
    subject.assert_nothing("all were acknowledged").await;
}

async fn sizes(subject: &Subject) {
    let Some(limit) = subject.pace.limit else {
        return;
    };
    let large = |size: usize| Bytes::from(vec![b'x'; size]);
    let refused = subject.queue.publish(large(limit + 1)).await;
    assert!(
        matches!(refused, Err(QueueError::TooLarge { size, limit: stated, .. }) if size == limit + 1 && stated == limit),
        "{refused:?}"
    );
    subject.queue.publish(large(limit)).await.unwrap();
    let delivery = subject.receive_expected().await;
    assert_eq!(delivery.body.len(), limit);
    subject.queue.ack(&delivery.lease).await.unwrap();
}
