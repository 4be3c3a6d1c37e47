//! Packed bodies, and what they must not become.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::world::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn packed(media: &'static str, encoding: &'static str) -> [(&'static str, &'static str); 2] {
    [("content-type", media), ("content-encoding", encoding)]
}

#[tokio::test]
async fn packed_bodies_are_taken() {
    let world = World::new().await;
    let all: Vec<_> = (0..8).map(report).collect();
    let (json, avro) = (many(&all), avro(&all));
    for (encoding, body) in [("gzip", gzip(json.as_bytes())), ("zstd", zstd(json.as_bytes()))] {
        let results = world.post(body, &packed("application/json", encoding)).await.results();
        assert_eq!(results.len(), 8);
    }
    for (encoding, body) in [("gzip", gzip(&avro)), ("ZSTD", zstd(&avro)), ("identity", avro.clone())] {
        let results = world.post(body, &packed("avro/binary", encoding)).await.results();
        assert!(results.iter().all(|result| result == "alreadyAccepted"));
    }
    // Two members one after the other are one body.
    let (first, second) = json.split_at(100);
    let members = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
    let answer = world.post(members, &packed("application/json", "gzip")).await;
    assert_eq!(answer.results().len(), 8);
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
}

#[tokio::test]
async fn damaged_bodies_are_malformed() {
    let world = World::new().await;
    let json = one(&report(0));
    for (encoding, good) in [("gzip", gzip(json.as_bytes())), ("zstd", zstd(json.as_bytes()))] {
        let headers = packed("application/json", encoding);
        let cut = good[..good.len() - 5].to_vec();
        let longer = [&good[..], b"more"].concat();
        for body in [cut, longer, json.clone().into_bytes(), Vec::new()] {
            assert_eq!(world.post(body, &headers).await.problem(), "malformed", "{encoding}");
        }
        assert_eq!(world.post(good, &JSON[..1]).await.problem(), "malformed");
    }
    assert!(world.slabs().await.is_empty());
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
}

#[tokio::test]
async fn bombs_do_not_go_off() {
    let world = World::with(|ingestor| {
        ingestor.serve.body_bytes = 1 << 20;
        ingestor.serve.memory_bytes = 8 << 20;
    })
    .await;
    // Over the limit of the body, or a hundred times what came.
    for size in [(1 << 20) + 1, 512 << 20] {
        let blank = vec![b' '; size];
        for (encoding, body) in [("gzip", gzip(&blank)), ("zstd", zstd(&blank))] {
            let answer = world.post(body, &packed("application/json", encoding)).await;
            assert_eq!(
                (answer.problem(), answer.status.as_u16()),
                ("tooLarge", 413),
                "{encoding} {size}"
            );
        }
    }
    // A thousand times is too much even where the limit would allow it.
    let blank = vec![b' '; 1 << 19];
    let answer = world.post(zstd(&blank), &packed("application/json", "zstd")).await;
    assert_eq!(answer.problem(), "tooLarge");
    // A bomb in a bomb is only unpacked once.
    let nested = gzip(&gzip(&vec![b' '; 64 << 20]));
    assert_eq!(
        world.post(nested, &packed("application/json", "gzip")).await.problem(),
        "malformed"
    );
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
}

#[tokio::test]
async fn bodies_have_a_largest_size_and_a_largest_number() {
    let world = World::with(|ingestor| {
        ingestor.serve.body_bytes = 4096;
        ingestor.serve.body_reports = 3;
    })
    .await;
    let all: Vec<_> = (0..4).map(report).collect();
    assert_eq!(world.post_many(&all[..3]).await.results(), ["accepted"; 3]);
    assert_eq!(world.post_many(&all).await.problem(), "tooLarge");
    assert_eq!(world.post(avro(&all), AVRO).await.problem(), "tooLarge");
    let list = format!("{{\"reports\":[{}0]}}", "0,".repeat(100));
    assert_eq!(world.post(list, JSON).await.problem(), "tooLarge");
    // Announced, or found out while it comes.
    assert_eq!(world.post(vec![b' '; 4097], JSON).await.problem(), "tooLarge");
    let pieces = futures::stream::iter((0..5).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1000])));
    let answer = world.post(axum::body::Body::from_stream(pieces), JSON).await;
    assert_eq!(answer.problem(), "tooLarge");
    assert_eq!(world.stored().await.len(), 3);
}
