//! A processor with the vectors' keys and buckets in memory, and batches that others sign for it.

use bytes::Bytes;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tallybox_crypto::{PacketPrivateKey, SealingKey, SigningKey};
use tallybox_facilitator::config::{Points, ValidationForm};
use tallybox_facilitator::intake::{intake, no_progress};
use tallybox_facilitator::processor::{PacketKey, Processor, ProcessorBuckets};
use tallybox_model::avro::{Record, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::header::{BatchParameters, IngestionHeader, PRIME};
use tallybox_model::path::{BatchName, BatchObjects};
use tallybox_model::role::Role;
use tallybox_transport::batch::{TrustedKeys, signature_file};
use tallybox_transport::{Bucket, ListRange, memory, publish_bytes, read_all};
use tokio::runtime::Runtime;

use crate::forge::{MARKER, generous};

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!("../../tests/testdata/vectors/keys/", $name, ".b64"))
    };
}

/// The files of both roles: two packet keys, and what signs their batches.
const KEYS: [[&str; 3]; 2] = [
    [key!("pha-packet-2.x963-private"), key!("pha-packet-1.x963-private"), key!("pha-signing.pkcs8")],
    [
        key!("facilitator-packet-2.x963-private"),
        key!("facilitator-packet-1.x963-private"),
        key!("facilitator-signing.pkcs8"),
    ],
];

/// The batch that everything is about.
const BATCH: &str = "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391";

/// The health authority's packets of the vector `bad/invalid-proof`: 20, two of them with a wrong proof.
pub const INVALID_PROOF: &[u8] = include_bytes!(
    "../../tests/testdata/vectors/bad/invalid-proof/ingestion-pha/org.example.bad.invalid-proof/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.batch.avro"
);

/// One processor and those around it.
pub struct World {
    /// Where the futures of one input run.
    pub runtime: Runtime,
    /// The processor under test.
    pub processor: Arc<Processor>,
    /// The batch.
    pub name: BatchName,
    /// What the ingestor signs with; its identifier is "ingestor".
    pub ingestor: SigningKey,
    /// What the peer signs with; its identifier is "peer".
    pub peer: SigningKey,
}

impl World {
    /// A processor with empty buckets.
    pub fn new(role: Role, points: Points) -> Self {
        let ingestor = signing(key!("ingestor-signing.pkcs8"));
        let peer = signing(KEYS[role.peer().index()][2]);
        let [first, second, own] = KEYS[role.index()];
        let trusted = |id: &str, key: &SigningKey| TrustedKeys::from([(id.to_owned(), key.verifying_key())]);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be started");
        let processor = Processor {
            instance: "fuzz".parse().expect("a name"),
            role,
            packet_keys: vec![packet_key("second", first), packet_key("first", second)],
            signing_key_id: "own".to_owned(),
            signing_key: signing(own),
            sealing_keys: vec![SealingKey::parse("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").expect("32 bytes")],
            buckets: ProcessorBuckets {
                ingestion: memory("ingestion"),
                own: memory("own"),
                peer_validation_in: memory("in"),
                peer_validation_out: memory("out"),
                sum_parts: memory("sum-parts"),
            },
            ingestor_keys: trusted("ingestor", &ingestor),
            peer_keys: trusted("peer", &peer),
            points,
            validation_form: ValidationForm::ThreeObjects,
            minimum_contributions: 1,
            legacy_count: false,
            limits: generous(),
            pool: Arc::new(pool),
            generation: 1,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let name = BatchName::parse(BATCH).expect("a name");
        Self { runtime, processor: Arc::new(processor), name, ingestor, peer }
    }

    /// What all headers say: eight bins, as most vectors have.
    pub fn parameters(&self) -> BatchParameters {
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
    pub async fn put<H: Record + Serialize>(
        &self,
        bucket: &dyn Bucket,
        objects: BatchObjects,
        header: impl FnOnce(Digest) -> H,
        packets: &[u8],
        key: (&str, &SigningKey),
    ) {
        let header = encode_one(&header(Digest::of(packets)), MARKER).expect("a header of ours");
        let signature = signature_file(&objects.signature, 1, &header, None, key).expect("a signature of ours");
        for (object, bytes) in
            [(objects.packets, packets.to_vec()), (objects.header, header), (objects.signature, signature)]
        {
            publish_bytes(bucket, &object, bytes.into(), false).await.expect("an empty bucket");
        }
    }

    /// Puts an ingestion batch of these packets into its bucket.
    pub async fn ingest(&self, packets: &[u8]) {
        let header = |digest| IngestionHeader::new(self.name.id, self.parameters(), (0, 1), digest);
        let (objects, key) = (self.name.ingestion(), ("ingestor", &self.ingestor));
        self.put(&*self.processor.buckets.ingestion, objects, header, packets, key).await;
    }

    /// Takes a good ingestion batch of these packets in; the bytes are those of the prepared batch.
    pub async fn taken_in(&self, packets: &[u8]) -> Bytes {
        self.ingest(packets).await;
        let (processor, name) = (&self.processor, &self.name);
        intake(processor, name, no_progress()).await.expect("a batch of the vectors");
        let key = name.prepared(&processor.sealing_keys[0].id());
        read_all(&*processor.buckets.own, &key, 1 << 20).await.expect("an intake leaves a prepared batch")
    }

    /// Takes everything out of every bucket of the processor.
    pub async fn clear(&self) {
        let buckets = &self.processor.buckets;
        let all = [
            &buckets.ingestion,
            &buckets.own,
            &buckets.peer_validation_in,
            &buckets.peer_validation_out,
            &buckets.sum_parts,
        ];
        for bucket in all {
            for key in objects(&**bucket).await.into_keys() {
                bucket.delete(&key).await.expect("a bucket in memory");
            }
        }
    }
}

/// Every object of a bucket.
pub async fn objects(bucket: &dyn Bucket) -> BTreeMap<String, Bytes> {
    use futures::TryStreamExt as _;
    let list = bucket.list("", ListRange::default()).await.expect("a bucket in memory");
    let keys: Vec<_> = list.try_collect().await.expect("a bucket in memory");
    let mut objects = BTreeMap::new();
    for entry in keys {
        let bytes = read_all(bucket, &entry.key, entry.size).await.expect("a bucket in memory");
        objects.insert(entry.key, bytes);
    }
    objects
}

fn signing(text: &str) -> SigningKey {
    SigningKey::parse(text).expect("a key of the vectors")
}

fn packet_key(id: &str, text: &str) -> PacketKey {
    let key = PacketPrivateKey::parse(text).expect("a key of the vectors");
    let fingerprint = key.public().fingerprint();
    PacketKey { id: id.to_owned(), key, fingerprint }
}
