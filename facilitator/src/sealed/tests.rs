//! Truncated sealed files of a window: none can be opened, and no part is shorter than requested.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::{Container, Sealed, SealedChunk, SealedError, SealedReader, SealedWriter};
use bytes::Bytes;
use tallybox_crypto::SealingKey;
use tallybox_crypto::prepared::CHUNK;
use tallybox_model::id::Instance;
use tallybox_model::role::Role;
use tallybox_transport::{SharedBucket, memory, publish_bytes, read_all};

type Chunks = Vec<SealedChunk<u8>>;

const OBJECT: &str = "a/window.verdicts";
const KIND: u8 = 1;
/// More bytes than one request fetches.
const LARGE: usize = 5 << 20;

fn sealed(instance: &Instance) -> Sealed<'_> {
    Sealed {
        magic: *b"TALLYXX1",
        instance,
        role: Role::First,
        object: OBJECT,
    }
}

fn keys() -> [SealingKey; 1] {
    [SealingKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap()]
}

/// Returns the bytes of a file with this much content.
async fn written(instance: &Instance, length: usize) -> Bytes {
    let bucket = memory("own");
    let mut writer = SealedWriter::create(&*bucket, sealed(instance), &keys()[0], &[KIND])
        .await
        .unwrap();
    writer.append(KIND, &vec![7; length]).await.unwrap();
    writer.finish(|chunks| chunks).await.unwrap();
    read_all(&*bucket, OBJECT, 16 << 20).await.unwrap()
}

async fn bucket_with(bytes: Bytes) -> SharedBucket {
    let bucket = memory("own");
    publish_bytes(&*bucket, OBJECT, bytes, false).await.unwrap();
    bucket
}

/// Opens the file and reads all of it.
async fn read(instance: &Instance, file: Bytes, length: usize) -> Result<usize, SealedError> {
    let bucket = bucket_with(file).await;
    let opened = SealedReader::<Chunks>::open(&bucket, sealed(instance), &keys()).await?;
    let reader = opened.expect("it is there");
    let bytes = reader
        .bytes(reader.footer(), KIND, 0..length as u64)
        .await?;
    Ok(bytes.len())
}

#[tokio::test]
async fn a_file_that_is_cut_off_does_not_open() {
    let instance: Instance = "i".parse().unwrap();
    for length in [0, 100] {
        let file = written(&instance, length).await;
        assert_eq!(read(&instance, file.clone(), length).await.unwrap(), length);
        for cut in 1..file.len() {
            let opened = read(&instance, file.slice(..cut), length).await;
            assert!(opened.is_err(), "the first {cut} bytes of {}", file.len());
        }
    }
    let file = written(&instance, LARGE).await;
    assert_eq!(read(&instance, file.clone(), LARGE).await.unwrap(), LARGE);
    for missing in 1..40 {
        let cut = file.slice(..file.len() - missing);
        assert!(
            read(&instance, cut, LARGE).await.is_err(),
            "{missing} bytes missing"
        );
    }
}

/// The bytes differ between positions, and are appended in pieces that end within a chunk.
#[tokio::test]
async fn a_range_over_several_chunks_is_read_as_it_was_written() {
    let instance: Instance = "i".parse().unwrap();
    let content: Vec<u8> = (0..LARGE)
        .map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8)
        .collect();
    let bucket = memory("own");
    let mut writer = SealedWriter::create(&*bucket, sealed(&instance), &keys()[0], &[KIND])
        .await
        .unwrap();
    for piece in content.chunks(300_000) {
        writer.append(KIND, piece).await.unwrap();
    }
    assert_eq!(writer.len(KIND), LARGE as u64);
    writer.finish(|chunks| chunks).await.unwrap();
    let opened = SealedReader::<Chunks>::open(&bucket, sealed(&instance), &keys()).await;
    let reader = opened.unwrap().expect("it is there");
    let lengths: Vec<u64> = reader.footer().iter().map(|chunk| chunk.bytes).collect();
    assert_eq!(lengths, [CHUNK as u64; LARGE / CHUNK]);
    for range in [
        0..LARGE,
        1..LARGE - 1,
        CHUNK - 1..CHUNK + 1,
        2 * CHUNK..2 * CHUNK + 5,
        CHUNK + 7..4 * CHUNK,
    ] {
        let wanted = range.start as u64..range.end as u64;
        let bytes = reader.bytes(reader.footer(), KIND, wanted).await.unwrap();
        assert!(bytes[..] == content[range.clone()], "{range:?}");
    }
}

/// The announced length and the delivered bytes may differ.
#[tokio::test]
async fn a_part_is_whole_or_an_error() {
    let bytes = Bytes::from(vec![7; 100]);
    let bucket = bucket_with(bytes.clone()).await;
    // Once with the bytes in memory, once with a request for each part.
    for most in [100, 99] {
        let container = Container::find(&bucket, OBJECT.to_owned(), most).await;
        let container = container.unwrap().expect("it is there");
        assert_eq!(container.part(60..100).await.unwrap().len(), 40);
        for missing in 1..=40 {
            let cut = container.part(60 + missing..100 + missing).await;
            assert!(cut.is_err(), "{missing} bytes missing");
        }
    }
    let container = Container::in_memory(&bucket, OBJECT.to_owned(), bytes);
    let cut = container.part(60..101).await;
    let problem = "cut off";
    assert!(
        matches!(cut, Err(SealedError::Malformed { problem: found, .. }) if found == problem),
        "{cut:?}"
    );
}
