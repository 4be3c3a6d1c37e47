//! Reads the mailboxes that an ingestor wrote, as a processor would.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use tallybox_crypto::VerifyingKey;
use tallybox_model::avro::{ContainerReader, FileLimits, RecordReader, decode_one};
use tallybox_model::digest::Digest;
use tallybox_model::header::IngestionHeader;
use tallybox_model::packet::DataSharePacket;
use tallybox_model::path::BatchName;
use tallybox_model::signature::BatchSignature;
use tallybox_transport::{Bucket, ListRange, read_all};

/// The largest object that is read, in bytes.
const MAX_OBJECT_BYTES: u64 = 1 << 30;

/// The encrypted shares of each batch with their packet ids, in the order of the file.
pub type Batches = BTreeMap<BatchName, Vec<(String, Vec<u8>)>>;

/// Reads every batch of a mailbox. Asserts what every reader checks: all three objects, signature,
/// digest, name.
///
/// # Panics
/// If a batch is incomplete, or does not match its header.
#[allow(clippy::panic, reason = "test support")]
pub async fn batches(mailbox: &dyn Bucket, key: &VerifyingKey) -> Batches {
    let entries = mailbox
        .list("", ListRange::default())
        .await
        .expect("a mailbox");
    let keys: Vec<String> = entries
        .map_ok(|entry| entry.key)
        .try_collect()
        .await
        .expect("a listing");
    let names: Vec<BatchName> = keys
        .iter()
        .filter_map(|key| BatchName::from_ingestion_signature(key))
        .collect();
    assert_eq!(
        keys.len(),
        3 * names.len(),
        "a batch is incomplete: {keys:?}"
    );
    let mut all = Batches::new();
    for name in names {
        let objects = name.ingestion();
        let read = async |object: &str| {
            read_all(mailbox, object, MAX_OBJECT_BYTES)
                .await
                .expect("an object")
        };
        let (header, packets) = (read(&objects.header).await, read(&objects.packets).await);
        let signature: BatchSignature =
            decode_one(&read(&objects.signature).await, &FileLimits::default())
                .expect("a signature");
        key.verify(&header, &signature.batch_header_signature)
            .expect("a good signature");
        let header: IngestionHeader =
            decode_one(&header, &FileLimits::default()).expect("a header");
        assert_eq!(
            (header.batch_uuid, header.name.as_str()),
            (name.id, name.aggregation.as_str())
        );
        assert_eq!(header.packet_file_digest, Digest::sha256(&packets));
        all.insert(name, shares(&packets));
    }
    all
}

fn shares(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (mut all, limits) = (Vec::new(), FileLimits::default());
    let mut reader = ContainerReader::open(file, &limits).expect("a packet file");
    while let Some(block) = reader.next_block().expect("a block") {
        for packet in RecordReader::<DataSharePacket<'_>>::new(&block, reader.schema(), &limits) {
            let packet = packet.expect("a packet");
            all.push((packet.id.to_owned(), packet.encrypted_payload.to_vec()));
        }
    }
    all
}

/// Returns the pairs of shares with the same packet id in batches of the same name.
///
/// # Panics
/// If the two mailboxes do not contain the same packets.
#[must_use]
pub fn pairs(first: &Batches, second: &Batches) -> Vec<[Vec<u8>; 2]> {
    assert!(
        first.keys().eq(second.keys()),
        "expected the same batches on both sides"
    );
    let mut pairs = Vec::new();
    for (first, second) in first.values().zip(second.values()) {
        assert_eq!(first.len(), second.len());
        for ((id, share), (other_id, other_share)) in first.iter().zip(second) {
            assert_eq!(id, other_id, "expected the same packet id on both sides");
            pairs.push([share.clone(), other_share.clone()]);
        }
    }
    pairs
}
