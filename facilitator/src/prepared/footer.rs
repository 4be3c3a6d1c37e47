//! The last chunk of a prepared batch: counts, the fixed validation batch, and the location of each
//! chunk.

use crate::reason::Rejections;
use serde::{Deserialize, Serialize};
use std::fmt;
use tallybox_model::digest::Digest;
use tallybox_model::header::BatchParameters;
use tallybox_model::id::Instance;
use tallybox_model::path::BatchName;

/// The content of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChunkKind {
    /// Identifiers and verification messages.
    Messages,
    /// Shares, in the order of the messages.
    Shares,
    /// Identifiers and reason codes of packets without a message.
    Rejects,
    /// The sum of the shares of all packets with a message, one element for each bin.
    Sum,
}

impl ChunkKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Messages, Self::Shares, Self::Rejects, Self::Sum];
}

/// The location and content of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChunkEntry {
    /// The kind of content.
    pub kind: ChunkKind,
    /// The offset of the chunk's first byte in the file.
    pub offset: u64,
    /// The length of the sealed chunk in bytes.
    pub length: u64,
    /// The index of the chunk's first item among all items of its kind.
    pub first: u64,
    /// The number of items.
    pub count: u64,
}

/// The name, length and digest of an object, fixed before the object is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FixedFile {
    /// The object's name.
    pub object: String,
    /// The object's length in bytes.
    pub bytes: u64,
    /// The object's SHA-256.
    pub sha256: Digest,
}

impl FixedFile {
    /// Computes length and digest of a file.
    #[must_use]
    pub fn parse(object: &str, file: &[u8]) -> Self {
        Self {
            object: object.to_owned(),
            bytes: file.len() as u64,
            sha256: Digest::sha256(file),
        }
    }
}

/// The validation batch that belongs to a prepared batch, fixed before it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FixedValidation {
    /// The generation of the encoders that produce these bytes.
    pub generation: u32,
    /// The packet file.
    pub packets: FixedFile,
    /// The header file. The signature is a function of the header and the signing key.
    pub header: FixedFile,
}

/// A packet key and the evaluation point for the packets that the key opens. The key's pin fixes
/// these values, and the footer of each batch with packets of the key repeats them.
///
/// `Debug` omits the point, which is a secret of the ingestor and the processors.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyUse {
    /// The fingerprint of the key's public half.
    pub key: String,
    /// The instance whose packets the key opens.
    pub instance: Instance,
    /// The number of bins of the key's packets; `None` for a bare key.
    pub bins: Option<u32>,
    /// The evaluation point of the key's packets; `None` if each packet may have its own.
    pub point: Option<u32>,
}

impl fmt::Debug for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyUse")
            .field("key", &self.key)
            .field("instance", &self.instance)
            .field("bins", &self.bins)
            .finish_non_exhaustive()
    }
}

/// The content of the footer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Footer {
    /// The batch whose intake produced this prepared batch.
    pub batch: BatchName,
    /// The parameters of the measurement, from the ingestion header.
    pub parameters: BatchParameters,
    /// The number of packets read.
    pub packets: u64,
    /// The number of packets with a verification message.
    pub messages: u64,
    /// Packets without a verification message, by reason.
    pub rejections: Rejections,
    /// The length of the ingestion batch's packet file in bytes.
    pub ingestion_bytes: u64,
    /// The validation batch.
    pub validation: FixedValidation,
    /// The packet keys whose packets were evaluated, sorted by fingerprint.
    pub keys: Vec<KeyUse>,
    /// All chunks except the footer, in the order of the file.
    pub chunks: Vec<ChunkEntry>,
}
