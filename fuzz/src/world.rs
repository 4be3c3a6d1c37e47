//! A processor with the vectors' keys and buckets in memory, and batches that its ingestor and its
//! peer sign.

use crate::forge::MARKER;
use bytes::Bytes;
use futures::TryStreamExt as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tallybox_crypto::SigningKey;
use tallybox_facilitator::config::Config;
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_model::avro::{Record, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::header::{BatchParameters, IngestionHeader, PRIME, ValidationHeader};
use tallybox_model::path::{BatchName, BatchObjects};
use tallybox_model::role::Role;
use tallybox_service::config::{Loaded, load};
use tallybox_transport::batch::signature_file;
use tallybox_transport::{Bucket, ListRange, publish_bytes, read_all};
use tokio::runtime::Runtime;

/// The health authority's packets of the vector `bad/invalid-proof`: 20 packets, two of which have
/// an invalid proof.
pub const INVALID_PROOF: &[u8] = include_bytes!(
    "../../tests/testdata/vectors/bad/invalid-proof/ingestion-pha/org.example.bad.invalid-proof/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.batch.avro"
);

/// The name of the only batch.
const BATCH: &str = "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391";

/// The signing keys of the ingestor and of the first and the second processor.
const SIGNING: [&str; 3] = [
    include_str!("../../tests/testdata/vectors/keys/ingestor-signing.pkcs8.b64"),
    include_str!("../../tests/testdata/vectors/keys/pha-signing.pkcs8.b64"),
    include_str!("../../tests/testdata/vectors/keys/facilitator-signing.pkcs8.b64"),
];

/// A processor, and the signing keys of its ingestor and its peer.
pub struct World {
    /// The runtime for the futures of one input.
    pub runtime: Runtime,
    /// The processor under test.
    pub processor: Arc<Processor>,
    /// The batch.
    pub name: BatchName,
    ingestor: SigningKey,
    peer: SigningKey,
}

impl World {
    /// Creates a processor with empty buckets, configured by `world/first.yaml` or
    /// `world/second.yaml`.
    pub fn new(role: Role) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("world/{role}.yaml"));
        let config: Loaded<Config> = load(&file).expect("a configuration of ours");
        let signing =
            |index: usize| SigningKey::parse(SIGNING[index]).expect("a key of the vectors");
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime"),
            processor: Arc::new(Processor::open(&config).expect("keys of the vectors")),
            name: BatchName::parse(BATCH).expect("a name"),
            ingestor: signing(0),
            peer: signing(1 + role.peer().index()),
        }
    }

    /// Returns a valid header for packets with this digest.
    pub fn header(&self, packets: Digest) -> IngestionHeader {
        IngestionHeader::new(self.name.id, self.parameters(), (0, 1), packets)
    }

    /// Writes an ingestion batch of these packets into the ingestion bucket.
    pub async fn ingest(&self, packets: &[u8], header: impl FnOnce(Digest) -> IngestionHeader) {
        let key = ("ingestor", &self.ingestor);
        self.put(
            &*self.processor.buckets.ingestion,
            self.name.ingestion(),
            header,
            packets,
            key,
        )
        .await;
    }

    /// Writes the peer's validation batch of these packets into the processor's mailbox.
    pub async fn validate(&self, packets: &[u8]) {
        let header = |digest| ValidationHeader::new(self.name.id, self.parameters(), digest);
        let peer = self.processor.buckets.role.peer();
        let key = (&*peer.to_string(), &self.peer);
        let inbox = &*self.processor.buckets.peer_validation_in;
        self.put(inbox, self.name.validation(peer), header, packets, key)
            .await;
    }

    /// Runs the intake of a valid ingestion batch of these packets, and returns the bytes of the
    /// prepared batch.
    pub async fn take_in(&self, packets: &[u8]) -> Bytes {
        self.ingest(packets, |digest| self.header(digest)).await;
        let (processor, name) = (&self.processor, &self.name);
        intake(processor, name, no_progress())
            .await
            .expect("a batch of the vectors");
        let key = name.prepared(&processor.keys.sealing[0].id());
        read_all(&*processor.buckets.own, &key, 1 << 20)
            .await
            .expect("an intake leaves a prepared batch")
    }

    /// Deletes all objects in all buckets of the processor.
    pub async fn clear(&self) {
        let all = &self.processor.buckets;
        let inboxes = [&all.ingestion, &all.own, &all.peer_validation_in];
        for bucket in inboxes
            .into_iter()
            .chain([&all.peer_validation_out, &all.sum_parts])
        {
            clear(&**bucket).await;
        }
    }

    /// Returns the parameters of all headers: eight bins, as in most vectors.
    fn parameters(&self) -> BatchParameters {
        BatchParameters {
            name: self.name.aggregation.to_string(),
            bins: 8,
            epsilon: 0.11,
            prime: PRIME,
            number_of_servers: 2,
            hamming_weight: None,
        }
    }

    /// Writes a batch of these packets, signed with this key, into a bucket.
    async fn put<H: Record + Serialize>(
        &self,
        bucket: &dyn Bucket,
        names: BatchObjects,
        header: impl FnOnce(Digest) -> H,
        packets: &[u8],
        key: (&str, &SigningKey),
    ) {
        let header =
            encode_one(&header(Digest::sha256(packets)), MARKER).expect("a header of ours");
        let signature =
            signature_file(&names.signature, 1, &header, None, key).expect("a signature of ours");
        let files = [
            (names.packets, packets.to_vec()),
            (names.header, header),
            (names.signature, signature),
        ];
        for (object, bytes) in files {
            publish_bytes(bucket, &object, bytes.into(), false)
                .await
                .expect("an empty bucket");
        }
    }
}

/// Returns all objects of a bucket.
pub async fn objects(bucket: &dyn Bucket) -> BTreeMap<String, Bytes> {
    let list = bucket
        .list("", ListRange::default())
        .await
        .expect("a bucket in memory");
    let entries: Vec<_> = list.try_collect().await.expect("a bucket in memory");
    let mut objects = BTreeMap::new();
    for entry in entries {
        let bytes = read_all(bucket, &entry.key, entry.size)
            .await
            .expect("a bucket in memory");
        objects.insert(entry.key, bytes);
    }
    objects
}

/// Deletes all objects of a bucket.
pub async fn clear(bucket: &dyn Bucket) {
    for key in objects(bucket).await.into_keys() {
        bucket.delete(&key).await.expect("a bucket in memory");
    }
}

/// Returns a signing key.
pub fn signing_key() -> SigningKey {
    SigningKey::parse(SIGNING[0]).expect("a key of the vectors")
}
