//! A processor with the vectors' keys and buckets in memory, and batches that others sign for it.

use crate::forge::MARKER;
use bytes::Bytes;
use futures::TryStreamExt as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tallybox_crypto::SigningKey;
use tallybox_facilitator::config::Config;
use tallybox_facilitator::intake::{intake, no_progress};
use tallybox_facilitator::processor::Processor;
use tallybox_model::avro::{Record, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::header::{BatchParameters, IngestionHeader, PRIME, ValidationHeader};
use tallybox_model::path::{BatchName, BatchObjects};
use tallybox_model::role::Role;
use tallybox_service::config::{Loaded, load};
use tallybox_transport::batch::signature_file;
use tallybox_transport::{Bucket, ListRange, publish_bytes, read_all};
use tokio::runtime::Runtime;

/// The health authority's packets of the vector `bad/invalid-proof`: 20, two of them with a wrong proof.
pub const INVALID_PROOF: &[u8] = include_bytes!(
    "../../tests/testdata/vectors/bad/invalid-proof/ingestion-pha/org.example.bad.invalid-proof/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.batch.avro"
);

/// The batch that everything is about.
const BATCH: &str = "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391";

/// What the ingestor, the first and the second processor sign with.
const SIGNING: [&str; 3] = [
    include_str!("../../tests/testdata/vectors/keys/ingestor-signing.pkcs8.b64"),
    include_str!("../../tests/testdata/vectors/keys/pha-signing.pkcs8.b64"),
    include_str!("../../tests/testdata/vectors/keys/facilitator-signing.pkcs8.b64"),
];

/// One processor and those around it.
pub struct World {
    /// Where the futures of one input run.
    pub runtime: Runtime,
    /// The processor under test.
    pub processor: Arc<Processor>,
    /// The batch.
    pub name: BatchName,
    ingestor: SigningKey,
    peer: SigningKey,
}

impl World {
    /// A processor with empty buckets, as `world/first.yaml` or `world/second.yaml` says.
    pub fn new(role: Role) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("world/{role}.yaml"));
        let config: Loaded<Config> = load(&file).expect("a configuration of ours");
        let signing = |place: usize| SigningKey::parse(SIGNING[place]).expect("a key of the vectors");
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

    /// A good header for packets of this digest.
    pub fn header(&self, packets: Digest) -> IngestionHeader {
        IngestionHeader::new(self.name.id, self.parameters(), (0, 1), packets)
    }

    /// Puts an ingestion batch of these packets into its bucket.
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

    /// Puts the peer's validation batch of these packets into our mailbox.
    pub async fn validate(&self, packets: &[u8]) {
        let header = |digest| ValidationHeader::new(self.name.id, self.parameters(), digest);
        let peer = self.processor.role.peer();
        let key = (&*peer.to_string(), &self.peer);
        let inbox = &*self.processor.buckets.peer_validation_in;
        self.put(inbox, self.name.validation(peer), header, packets, key).await;
    }

    /// Takes a good ingestion batch of these packets in; the bytes are those of the prepared batch.
    pub async fn take_in(&self, packets: &[u8]) -> Bytes {
        self.ingest(packets, |digest| self.header(digest)).await;
        let (processor, name) = (&self.processor, &self.name);
        intake(processor, name, no_progress())
            .await
            .expect("a batch of the vectors");
        let key = name.prepared(&processor.sealing_keys[0].id());
        read_all(&*processor.buckets.own, &key, 1 << 20)
            .await
            .expect("an intake leaves a prepared batch")
    }

    /// Takes everything out of every bucket of the processor.
    pub async fn clear(&self) {
        let all = &self.processor.buckets;
        let inboxes = [&all.ingestion, &all.own, &all.peer_validation_in];
        for bucket in inboxes.into_iter().chain([&all.peer_validation_out, &all.sum_parts]) {
            clear(&**bucket).await;
        }
    }

    /// What all headers say: eight bins, as most vectors have.
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

    /// Puts a batch of these packets, signed by this key, into a bucket.
    async fn put<H: Record + Serialize>(
        &self,
        bucket: &dyn Bucket,
        names: BatchObjects,
        header: impl FnOnce(Digest) -> H,
        packets: &[u8],
        key: (&str, &SigningKey),
    ) {
        let header = encode_one(&header(Digest::of(packets)), MARKER).expect("a header of ours");
        let signature = signature_file(&names.signature, 1, &header, None, key).expect("a signature of ours");
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

/// Every object of a bucket.
pub async fn objects(bucket: &dyn Bucket) -> BTreeMap<String, Bytes> {
    let list = bucket.list("", ListRange::default()).await.expect("a bucket in memory");
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

/// Takes everything out of a bucket.
pub async fn clear(bucket: &dyn Bucket) {
    for key in objects(bucket).await.into_keys() {
        bucket.delete(&key).await.expect("a bucket in memory");
    }
}

/// A key to sign with.
pub fn signing_key() -> SigningKey {
    SigningKey::parse(SIGNING[0]).expect("a key of the vectors")
}
