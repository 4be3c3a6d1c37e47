//! More than fits into memory is refused at once, and what was taken comes back.

use std::sync::Arc;

use axum::body::Body;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::world::*;

#[tokio::test]
async fn who_comes_when_memory_is_used_up_is_told_to_come_again() {
    let world = World::with(|ingestor| {
        ingestor.serve.body_bytes = 64 << 10;
        ingestor.serve.memory_bytes = 128 << 10;
    })
    .await;
    // A body that does not say its length, and does not come: it holds what a body can be.
    let (pieces, coming) = mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let coming = futures::stream::unfold(coming, |mut coming| async move { Some((coming.recv().await?, coming)) });
    let tasks = TaskTracker::new();
    let router = world.app.router();
    let waiting = tasks.spawn(router.oneshot(post_to(LOCALITY, Body::from_stream(coming), JSON)));
    while world.count("ingestor_memory_in_use_bytes") == 0 {
        tokio::task::yield_now().await;
    }
    let answer = world.post(vec![b' '; 64 << 10], JSON).await;
    assert_eq!((answer.problem(), answer.status.as_u16()), ("overloaded", 503));
    let seconds: u32 = answer.header("retry-after").parse().unwrap();
    assert!((1..=5).contains(&seconds));
    // A small one still fits.
    assert_eq!(outcome(&world.post_one(&report(0)).await.result()), "accepted");
    pieces.send(Ok(one(&report(1)).into_bytes())).await.unwrap();
    drop(pieces);
    let answer = Answer::of(waiting.await.unwrap().unwrap()).await;
    assert_eq!(outcome(&answer.result()), "accepted");
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
    let refused = "ingestor_requests_refused_total{reason=\"overloaded\"}";
    assert_eq!(world.count(refused), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let world = World::new().await;
    let answer = world.post(
        Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>()),
        JSON,
    );
    let answer = answer.await;
    assert_eq!((answer.problem(), answer.status.as_u16()), ("slowBody", 408));
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
    let (mut taken, mut shed) = (0, 0);
    for post in posts.collect::<Vec<_>>() {
        let answer = post.await.unwrap();
        match answer.status.as_u16() {
            200 => taken += 1,
            _ => {
                assert_eq!(answer.problem(), "overloaded");
                shed += 1;
            }
        }
    }
    assert!(taken > 0 && taken + shed == 64, "{taken} {shed}");
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
    assert_eq!(outcome(&world.post_one(&report(999)).await.result()), "accepted");
}
