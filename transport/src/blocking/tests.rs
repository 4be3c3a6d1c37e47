//! Tests of reader and writer, with and without errors of the bucket.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use futures::stream;
use tokio::task::spawn_blocking;

use super::*;
use crate::faults::{FaultKind, Faults};
use crate::{Bucket, SharedBucket, memory, publish_bytes, read_all};

fn pattern(length: usize) -> Bytes {
    (0..length).map(|i| (i ^ (i >> 8)) as u8).collect()
}

async fn writer(bucket: &dyn Bucket, key: &str) -> BlockingWriter {
    BlockingWriter::new(bucket.create(key, None).await.unwrap(), &Handle::current())
}

async fn reader(bucket: &dyn Bucket, key: &str) -> BlockingReader {
    BlockingReader::new(bucket.get(key).await.unwrap(), &Handle::current())
}

#[tokio::test]
async fn bytes_go_through_both_ways() {
    let bucket = memory("");
    let bytes = pattern(3_000_001);
    let mut writer = writer(&*bucket, "k").await;
    let written = bytes.clone();
    let created = spawn_blocking(move || {
        for chunk in written[..2_000_000].chunks(7777) {
            writer.write_all(chunk).unwrap();
        }
        writer
            .write_bytes(written.slice(2_000_000..2_500_000))
            .unwrap();
        writer.write_all(&written[2_500_000..]).unwrap();
        writer.finish().unwrap()
    });
    assert_eq!(created.await.unwrap(), Created::New);
    assert!(read_all(&*bucket, "k", 9_000_000).await.unwrap() == bytes);

    let mut reader = reader(&*bucket, "k").await;
    assert_eq!(reader.size(), 3_000_001);
    let read = spawn_blocking(move || {
        let mut start = [0; 10];
        reader.read_exact(&mut start).unwrap();
        let mut all = start.to_vec();
        all.extend(reader.next_chunk().unwrap().unwrap());
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(reader.next_chunk().unwrap(), None);
        assert_eq!(reader.read(&mut start).unwrap(), 0);
        all
    });
    assert!(read.await.unwrap() == bytes);
}

#[tokio::test]
async fn an_error_of_the_body_reaches_the_reader_and_stays() {
    let chunks = [
        Ok(Bytes::from_static(b"ab")),
        Err(BucketError::not_found("b", "k")),
        Ok(Bytes::from_static(b"cd")),
    ];
    let object = Object {
        size: 4,
        body: stream::iter(chunks).boxed(),
    };
    let mut reader = BlockingReader::new(object, &Handle::current());
    spawn_blocking(move || {
        let mut all = Vec::new();
        let error = reader.read_to_end(&mut all).unwrap_err();
        assert!(matches!(
            BucketError::recover(error),
            Ok(BucketError::NotFound { .. })
        ));
        assert_eq!(all, b"ab");
        assert!(
            reader.read_to_end(&mut all).is_err(),
            "reading on does not find an end"
        );
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_reader_may_be_dropped_early() {
    let bucket = memory("");
    publish_bytes(&*bucket, "k", pattern(9_000_000), false)
        .await
        .unwrap();
    let mut reader = reader(&*bucket, "k").await;
    spawn_blocking(move || reader.read_exact(&mut [0; 3]).unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn without_finish_there_is_no_object() {
    let bucket = memory("");
    let mut dropped = writer(&*bucket, "k").await;
    spawn_blocking(move || dropped.write_all(&[1; 1_000_000]).unwrap())
        .await
        .unwrap();
    tokio::task::yield_now().await;
    assert!(matches!(
        bucket.size("k").await,
        Err(BucketError::NotFound { .. })
    ));
}

#[tokio::test]
async fn what_exists_is_told() {
    let bucket = memory("");
    publish_bytes(&*bucket, "k", pattern(3), false)
        .await
        .unwrap();
    let mut writer = writer(&*bucket, "k").await;
    let created = spawn_blocking(move || {
        writer.write_all(b"other").unwrap();
        writer.finish().unwrap()
    });
    assert_eq!(created.await.unwrap(), Created::Exists);
}

/// If any write or commit fails, the writer receives the bucket's own error, at the latest from
/// `finish`.
#[tokio::test]
async fn an_error_of_the_upload_reaches_the_writer() {
    for n in 2..=12 {
        let inner = memory("");
        let bucket: SharedBucket = Faults::new(n, FaultKind::Fail).wrap(Arc::clone(&inner));
        let mut writer = writer(&*bucket, "k").await;
        let error = spawn_blocking(move || {
            for _ in 0..10 {
                writer
                    .write_all(&[0; WRITE_BYTES])
                    .map_err(|error| BucketError::recover(error).unwrap())?;
            }
            writer.finish().map(drop)
        });
        let error = error.await.unwrap().unwrap_err();
        assert!(
            matches!(&error, BucketError::Unavailable { key, .. } if key == "k"),
            "{n}: {error:?}"
        );
        assert!(inner.size("k").await.is_err());
    }
}
