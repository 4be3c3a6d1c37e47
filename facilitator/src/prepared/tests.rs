//! Prepared batches of several chunks: reading returns what was written, and no altered file opens.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::{
    ChunkKind, FixedFile, FixedValidation, Footer, Owner, PreparedError, PreparedReader,
    PreparedWriter,
};
use crate::reason::{PacketReason, Rejections};
use crate::sealed::SealedError;
use tallybox_crypto::SealingKey;
use tallybox_crypto::prio2::Message;
use tallybox_model::digest::Digest;
use tallybox_model::header::BatchParameters;
use tallybox_model::id::{Instance, PacketId};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_transport::{SharedBucket, memory, publish_bytes};

/// Enough for two chunks of messages and more of shares.
const PACKETS: u32 = 40_000;

fn name() -> BatchName {
    BatchName::parse("a/2026/01/31/12/00/00112233-4455-6677-8899-aabbccddeeff").unwrap()
}

fn id(i: u32) -> PacketId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&i.to_be_bytes());
    PacketId::from_bytes(bytes)
}

fn message(i: u32) -> Message {
    Message {
        f: i,
        g: i + 1,
        h: i + 2,
    }
}

fn share(i: u32) -> [u8; 40] {
    std::array::from_fn(|index| (i as usize + index) as u8)
}

fn sealing(text: &str) -> SealingKey {
    SealingKey::parse(text).unwrap()
}

fn key() -> SealingKey {
    sealing("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
}

fn footer(chunks: Vec<super::ChunkEntry>) -> Footer {
    let object = || FixedFile {
        object: "x".to_owned(),
        bytes: 1,
        sha256: Digest::empty(),
    };
    let (name_, epsilon) = ("a".to_owned(), f64::NAN);
    Footer {
        batch: name(),
        parameters: BatchParameters {
            name: name_,
            bins: 10,
            epsilon,
            prime: 1,
            number_of_servers: 2,
            hamming_weight: None,
        },
        packets: u64::from(PACKETS) + 1,
        messages: u64::from(PACKETS),
        rejections: Rejections::default(),
        ingestion_bytes: 5,
        validation: FixedValidation {
            generation: 1,
            packets: object(),
            header: object(),
        },
        keys: Vec::new(),
        chunks,
    }
}

fn written(instance: &Instance) -> Vec<u8> {
    let owner = Owner {
        instance,
        role: Role::First,
    };
    let mut writer = PreparedWriter::new(
        Vec::new(),
        owner,
        &key(),
        &name(),
        Digest::sha256(b"header"),
    )
    .unwrap();
    for i in 0..PACKETS {
        writer.message(id(i), message(i), &share(i)).unwrap();
    }
    writer.reject(id(PACKETS), PacketReason::BadShare).unwrap();
    writer.finish(&[1, 2, u32::MAX], footer).unwrap()
}

async fn open(
    bucket: &SharedBucket,
    instance: &Instance,
    keys: &[SealingKey],
) -> Result<Option<PreparedReader>, PreparedError> {
    PreparedReader::open(
        bucket,
        Owner {
            instance,
            role: Role::First,
        },
        keys,
        &name(),
    )
    .await
}

async fn bucket_with(file: &[u8]) -> SharedBucket {
    let bucket = memory("own");
    publish_bytes(
        &*bucket,
        &name().prepared(&key().id()),
        file.to_vec().into(),
        false,
    )
    .await
    .unwrap();
    bucket
}

#[tokio::test]
async fn what_is_written_is_read() {
    let instance = "i".parse().unwrap();
    let file = written(&instance);
    assert_eq!(file, written(&instance), "the same bytes each time");
    let bucket = bucket_with(&file).await;
    let other = sealing("//ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let reader = open(&bucket, &instance, &[other, key()])
        .await
        .unwrap()
        .expect("it is there");
    assert_eq!(reader.ingestion_header(), Digest::sha256(b"header"));
    assert_eq!(
        reader.footer().parameters.epsilon.to_bits(),
        f64::NAN.to_bits()
    );
    assert_eq!(
        (
            reader.chunks(ChunkKind::Messages).len(),
            reader.chunks(ChunkKind::Shares).len()
        ),
        (2, 2)
    );
    let mut next = 0;
    for chunk in reader.chunks(ChunkKind::Messages) {
        for item in reader.messages(chunk).await.unwrap() {
            assert_eq!((item.id, item.message), (id(next), message(next)));
            next += 1;
        }
    }
    assert_eq!(next, PACKETS);
    let rejects = reader
        .rejects(reader.chunks(ChunkKind::Rejects)[0])
        .await
        .unwrap();
    assert_eq!(rejects, [(id(PACKETS), PacketReason::BadShare)]);
    assert_eq!(reader.sum().await.unwrap(), [1, 2, u32::MAX]);
    // The last share of a chunk, and the first of the next.
    let first_chunk = &reader.footer().chunks[reader.chunks(ChunkKind::Shares)[0] as usize];
    let next = first_chunk.count;
    let mut shares = Vec::new();
    reader
        .shares(&[next - 1, next], |share| shares.push(share.to_vec()))
        .await
        .unwrap();
    assert_eq!(shares, [next - 1, next].map(|place| share(place as u32)));
    let (indices, mut shares) = ([0, 5, 26_000, 39_999], Vec::new());
    reader
        .shares(&indices, |share| shares.push(share.to_vec()))
        .await
        .unwrap();
    assert_eq!(shares, indices.map(|index| share(index as u32).to_vec()));
}

#[tokio::test]
async fn nobody_elses_and_nothing_damaged_opens() {
    let instance: Instance = "i".parse().unwrap();
    let file = written(&instance);
    let bucket = bucket_with(&file).await;
    assert!(
        open(&memory("other"), &instance, &[key()])
            .await
            .unwrap()
            .is_none()
    );
    let elsewhere = open(&bucket, &"j".parse().unwrap(), &[key()]).await;
    assert!(
        matches!(elsewhere, Err(PreparedError(SealedError::Sealed { .. }))),
        "another instance's key"
    );
    // Opening reads the head, the footer and the tail; chunks are read on demand.
    for at in [
        0,
        9,
        file.len() - 1,
        file.len() - 5,
        file.len() - 11,
        file.len() - 40,
    ] {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        assert!(
            open(&bucket_with(&damaged).await, &instance, &[key()])
                .await
                .is_err(),
            "byte {at}"
        );
    }
    let mut damaged = file.clone();
    damaged[100] ^= 1;
    let reader = open(&bucket_with(&damaged).await, &instance, &[key()])
        .await
        .unwrap()
        .unwrap();
    let first = reader.chunks(ChunkKind::Messages)[0].min(reader.chunks(ChunkKind::Shares)[0]);
    assert_eq!(first, 0);
    assert!(
        reader
            .messages(reader.chunks(ChunkKind::Messages)[0])
            .await
            .is_err()
            || reader.shares(&[0], |_| ()).await.is_err()
    );
    let cuts = (1..70).chain([1000]).chain(file.len() - 70..file.len());
    for length in cuts {
        assert!(
            open(&bucket_with(&file[..length]).await, &instance, &[key()])
                .await
                .is_err(),
            "cut at {length}"
        );
    }
}
