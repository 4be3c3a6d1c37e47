//! Requests beyond the memory budget are rejected, slow bodies are cancelled, and all memory is
//! released.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::world::*;

/// Returns a body whose pieces come from a channel.
fn pieces() -> (mpsc::Sender<Result<Vec<u8>, std::io::Error>>, Body) {
    let (pieces, coming) = mpsc::channel(1);
    let coming = futures::stream::unfold(coming, |mut coming: mpsc::Receiver<_>| async move {
        Some((coming.recv().await?, coming))
    });
    (pieces, Body::from_stream(coming))
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_into_memory_is_refused_until_slow_bodies_are_given_up() {
    let world = World::with(|ingestor| {
        ingestor.serve.body_bytes = 64 << 10;
        ingestor.serve.memory_bytes = 128 << 10;
        ingestor.serve.memory_bytes_per_network = Some(128 << 10);
    })
    .await;
    let tasks = TaskTracker::new();
    let (first, body) = pieces();
    let slow = tasks.spawn(world.app.router().oneshot(post_to(LOCALITY, body, JSON)));
    let (second, body) = pieces();
    let slower = tasks.spawn(world.app.router().oneshot(post_to(LOCALITY, body, JSON)));
    for pieces in [&first, &second] {
        pieces.send(Ok(vec![b' '; 60 << 10])).await.unwrap();
    }
    while world.count("ingestor_memory_in_use_bytes") < 120 << 10 {
        tokio::task::yield_now().await;
    }
    let answer = world.post(vec![b' '; 64 << 10], JSON).await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("overloaded", 503)
    );
    let seconds: u32 = answer.header("retry-after").parse().unwrap();
    assert!((1..=5).contains(&seconds));
    // A small body still fits.
    assert_eq!(
        outcome(&world.post_report(&report(0)).await.result()),
        "accepted"
    );
    // After a second the oldest body is evicted, and its client gets the answer to send it again.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        world.post(vec![b' '; 32 << 10], JSON).await.problem(),
        "malformed"
    );
    let answer = HttpAnswer::read(slow.await.unwrap().unwrap()).await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("overloaded", 503)
    );
    assert_eq!(world.count("ingestor_bodies_evicted_total"), 1);
    second.send(Ok(b"{".to_vec())).await.unwrap();
    drop(second);
    assert_eq!(
        HttpAnswer::read(slower.await.unwrap().unwrap())
            .await
            .problem(),
        "malformed"
    );
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
    let refused = "ingestor_requests_refused_total{reason=\"overloaded\"}";
    assert_eq!(world.count(refused), 2);
}

#[tokio::test(start_paused = true)]
async fn a_body_has_to_come_at_a_rate() {
    let world = World::new().await;
    let body = report_json(&report(0)).into_bytes();
    // At a rate of 1,024 bytes per second the body is accepted, however long it takes.
    let paced = |size: usize, pause: Duration| {
        let pieces: Vec<_> = body.chunks(size).map(<[u8]>::to_vec).collect();
        Body::from_stream(futures::stream::unfold(
            pieces.into_iter(),
            move |mut pieces| async move {
                tokio::time::sleep(pause).await;
                Some((Ok::<_, std::io::Error>(pieces.next()?), pieces))
            },
        ))
    };
    let answer = world
        .post(paced(103, Duration::from_millis(100)), JSON)
        .await;
    assert_eq!(outcome(&answer.result()), "accepted");
    let begun = tokio::time::Instant::now();
    let answer = world.post(paced(1, Duration::from_millis(100)), JSON).await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("slowBody", 408)
    );
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let world = World::new().await;
    let answer = world.post(
        Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>()),
        JSON,
    );
    let answer = answer.await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("slowBody", 408)
    );
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rush_is_shed_and_leaves_nothing_behind() {
    let world = World::with(|ingestor| {
        ingestor.serve.body_bytes = 256 << 10;
        ingestor.serve.memory_bytes = 1 << 20;
    })
    .await;
    let world = Arc::new(world);
    let body = Arc::new(many(&(0..200).map(report).collect::<Vec<_>>()));
    let posts = (0..64).map(|_| {
        let (world, body) = (Arc::clone(&world), Arc::clone(&body));
        tokio::spawn(async move { world.post((*body).clone(), JSON).await })
    });
    let (mut accepted, mut shed) = (0, 0);
    for post in posts.collect::<Vec<_>>() {
        let answer = post.await.unwrap();
        match answer.status.as_u16() {
            200 => accepted += 1,
            _ => {
                assert_eq!(answer.problem(), "overloaded");
                shed += 1;
            }
        }
    }
    assert!(accepted > 0 && accepted + shed == 64, "{accepted} {shed}");
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
    assert_eq!(
        outcome(&world.post_report(&report(999)).await.result()),
        "accepted"
    );
}
