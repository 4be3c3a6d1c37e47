//! Ingestion batches derived from ENPA's, with changed packets or headers, and signed again with
//! the ingestor's key.

use crate::vectors::{Case, vectors};
use tallybox_crypto::SigningKey;
use tallybox_model::avro::{
    ContainerReader, ContainerWriter, FileLimits, Record as _, RecordReader, decode_one, encode_one,
};
use tallybox_model::digest::Digest;
use tallybox_model::header::IngestionHeader;
use tallybox_model::packet::DataSharePacket;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_transport::batch::signature_file;
use tallybox_transport::{Bucket, publish_bytes};

/// A packet that tests can change.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// The packet's identifier.
    pub id: String,
    /// The ciphertext.
    pub payload: Vec<u8>,
    /// The identifier of the key that the packet names.
    pub key: Option<String>,
    /// The evaluation point.
    pub r_pit: i64,
}

/// An ingestion batch that tests can change.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The batch's name.
    pub name: BatchName,
    /// The header. Its digest is computed when the batch is written.
    pub header: IngestionHeader,
    /// The packets.
    pub packets: Vec<Packet>,
}

/// Reads a signing key from a file of the test vectors.
///
/// # Panics
/// If the file does not exist or is not a key.
#[must_use]
pub fn signing_key(name: &str) -> SigningKey {
    let text = std::fs::read_to_string(vectors().join("keys").join(name)).expect("a key file");
    SigningKey::parse(text.trim()).expect("a key")
}

impl Batch {
    /// Reads a batch of a case from the mailbox of one processor.
    ///
    /// # Panics
    /// If the batch cannot be read.
    #[must_use]
    pub fn read(case: &Case, name: &BatchName, role: Role) -> Self {
        let (bucket, objects, limits) = (
            case.ingestion(role),
            name.ingestion(),
            FileLimits::default(),
        );
        let header = std::fs::read(bucket.join(objects.header)).expect("a header");
        let file = std::fs::read(bucket.join(objects.packets)).expect("packets");
        let mut reader = ContainerReader::open(&file[..], &limits).expect("a container");
        let mut packets = Vec::new();
        while let Some(block) = reader.next_block().expect("a block") {
            for packet in RecordReader::<DataSharePacket<'_>>::new(&block, reader.schema(), &limits)
            {
                let packet = packet.expect("a packet");
                packets.push(Packet {
                    id: packet.id.to_owned(),
                    payload: packet.encrypted_payload.to_vec(),
                    key: packet.encryption_key_id.map(str::to_owned),
                    r_pit: packet.r_pit,
                });
            }
        }
        Self {
            name: name.clone(),
            header: decode_one(&header, &limits).expect("a header"),
            packets,
        }
    }

    /// Returns the same batch under another name.
    #[must_use]
    pub fn renamed(mut self, name: BatchName) -> Self {
        self.header.batch_uuid = name.id;
        self.header.name = name.aggregation.to_string();
        self.name = name;
        self
    }

    /// Returns the names and contents of the three objects: packets, header, and signature by
    /// `key`.
    ///
    /// # Panics
    /// If a record cannot be encoded.
    #[must_use]
    pub fn files(&self, key: (&str, &SigningKey)) -> [(String, Vec<u8>); 3] {
        let objects = self.name.ingestion();
        let mut writer = ContainerWriter::new(Vec::new(), DataSharePacket::KIND, [7; 16]);
        for packet in &self.packets {
            let packet = DataSharePacket {
                id: &packet.id,
                encrypted_payload: &packet.payload,
                encryption_key_id: packet.key.as_deref(),
                r_pit: packet.r_pit,
                version_configuration: None,
                device_nonce: None,
            };
            writer.append(&packet).expect("a packet");
        }
        let packets = writer.finish().expect("packets");
        let header = IngestionHeader {
            packet_file_digest: Digest::sha256(&packets),
            ..self.header.clone()
        };
        let header = encode_one(&header, [8; 16]).expect("a header");
        let signature =
            signature_file(&objects.signature, 1, &header, None, key).expect("a signature");
        [
            (objects.packets, packets),
            (objects.header, header),
            (objects.signature, signature),
        ]
    }

    /// Writes the batch, signed with the key of ENPA's ingestor.
    ///
    /// # Panics
    /// If the bucket fails.
    pub async fn write(&self, bucket: &dyn Bucket) {
        let key = signing_key("ingestor-signing.pkcs8.b64");
        for (name, file) in self.files(("ingestor-key-1", &key)) {
            publish_bytes(bucket, &name, file.into(), false)
                .await
                .expect("a new object");
        }
    }
}
