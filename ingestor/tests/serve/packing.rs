//! Compressed bodies and the limits of decompression.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tallybox_model::avro::{ContainerReader, FileLimits};

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
    for (encoding, body) in [
        ("gzip", gzip(json.as_bytes())),
        ("zstd", zstd(json.as_bytes())),
    ] {
        let results = world
            .post(body, &packed("application/json", encoding))
            .await
            .results();
        assert_eq!(results.len(), 8);
    }
    for (encoding, body) in [
        ("gzip", gzip(&avro)),
        ("ZSTD", zstd(&avro)),
        ("identity", avro.clone()),
    ] {
        let results = world
            .post(body, &packed("avro/binary", encoding))
            .await
            .results();
        assert!(results.iter().all(|result| result == "alreadyAccepted"));
    }
    // Two concatenated gzip members are one body.
    let (first, second) = json.split_at(100);
    let members = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
    let answer = world
        .post(members, &packed("application/json", "gzip"))
        .await;
    assert_eq!(answer.results().len(), 8);
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
}

#[tokio::test]
async fn damaged_bodies_are_malformed() {
    let world = World::new().await;
    let json = report_json(&report(0));
    for (encoding, good) in [
        ("gzip", gzip(json.as_bytes())),
        ("zstd", zstd(json.as_bytes())),
    ] {
        let headers = packed("application/json", encoding);
        let cut = good[..good.len() - 5].to_vec();
        let longer = [&good[..], b"more"].concat();
        for body in [cut, longer, json.clone().into_bytes(), Vec::new()] {
            assert_eq!(
                world.post(body, &headers).await.problem(),
                "malformed",
                "{encoding}"
            );
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
    // More than the body limit, or more than a hundred times the compressed size.
    for size in [(1 << 20) + 1, 512 << 20] {
        let blank = vec![b' '; size];
        for (encoding, body) in [("gzip", gzip(&blank)), ("zstd", zstd(&blank))] {
            let answer = world
                .post(body, &packed("application/json", encoding))
                .await;
            assert_eq!(
                (answer.problem(), answer.status.as_u16()),
                ("tooLarge", 413),
                "{encoding} {size}"
            );
        }
    }
    // A factor of a thousand is rejected even if the body limit would allow the size.
    let blank = vec![b' '; 1 << 19];
    let answer = world
        .post(zstd(&blank), &packed("application/json", "zstd"))
        .await;
    assert_eq!(answer.problem(), "tooLarge");
    // A body that is compressed twice is decompressed only once.
    let nested = gzip(&gzip(&vec![b' '; 64 << 20]));
    assert_eq!(
        world
            .post(nested, &packed("application/json", "gzip"))
            .await
            .problem(),
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
    // The size is either announced or found while the body arrives.
    assert_eq!(
        world.post(vec![b' '; 4097], JSON).await.problem(),
        "tooLarge"
    );
    let pieces = futures::stream::iter((0..5).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1000])));
    let answer = world
        .post(axum::body::Body::from_stream(pieces), JSON)
        .await;
    assert_eq!(answer.problem(), "tooLarge");
    assert_eq!(world.stored().await.len(), 3);
}

/// Returns the file with its blocks compressed by another codec.
fn recoded(file: &[u8], codec: &str, compress: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (named, null) = (b"avro.codec".as_slice(), [b"\x08null".as_slice()].concat());
    let offset = file
        .windows(named.len())
        .position(|window| window == named)
        .unwrap()
        + named.len();
    assert_eq!(file[offset..offset + 5], null[..]);
    let marker = &file[file.len() - 16..];
    let header = file
        .windows(16)
        .position(|window| window == marker)
        .unwrap()
        + 16;
    let mut out = file[..offset].to_vec();
    out.push(2 * codec.len() as u8);
    out.extend(codec.as_bytes());
    out.extend(&file[offset + 5..header]);
    let mut reader = ContainerReader::open(file, &FileLimits::default()).unwrap();
    while let Some(block) = reader.next_block().unwrap() {
        let compressed = compress(&block.bytes);
        for mut number in [block.records * 2, compressed.len() as u64 * 2] {
            while number >= 0x80 {
                out.push(number as u8 | 0x80);
                number >>= 7;
            }
            out.push(number as u8);
        }
        out.extend(&compressed);
        out.extend(marker);
    }
    out
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut out = snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    out.extend(crc32fast::hash(bytes).to_be_bytes());
    out
}

#[tokio::test]
async fn avro_files_may_have_each_codec() {
    let world = World::new().await;
    let all: Vec<_> = (0..60).map(report).collect();
    let file = avro(&all);
    assert_eq!(
        world
            .post(recoded(&file, "deflate", deflate), AVRO)
            .await
            .results(),
        ["accepted"; 60]
    );
    for posted in [recoded(&file, "snappy", snappy), file.clone()] {
        assert_eq!(
            world.post(posted, AVRO).await.results(),
            ["alreadyAccepted"; 60]
        );
    }
    let answer = world.post(recoded(&file, "bzip2", deflate), AVRO).await;
    assert_eq!(answer.problem(), "malformed");
    assert!(String::from_utf8_lossy(&answer.body).contains("null, deflate and snappy"));
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
}

#[tokio::test]
async fn blocks_do_not_become_more_than_a_body_may_have() {
    let world = World::with(|ingestor| {
        ingestor.serve.body_bytes = 1 << 20;
        ingestor.serve.memory_bytes = 8 << 20;
    })
    .await;
    let mut blank = report(0);
    blank.payload_first = vec![0; 900 << 10];
    let recompressed = recoded(&avro(&[blank.clone()]), "deflate", deflate);
    let answer = world.post(recompressed, AVRO).await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("tooLarge", 413),
        "over a hundred times"
    );
    // Each block is within the limit, but all of them together are not.
    blank.payload_first = vec![0; 60 << 10];
    let blanks: Vec<_> = (0..40).map(|_| blank.clone()).collect();
    for (codec, compress) in [
        ("deflate", deflate as fn(&[u8]) -> Vec<u8>),
        ("snappy", snappy),
    ] {
        let answer = world
            .post(recoded(&avro(&blanks), codec, compress), AVRO)
            .await;
        assert_eq!(answer.problem(), "tooLarge", "{codec}");
    }
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
}
