//! The last chunk of a prepared batch: counts, the sum, what is fixed, and where everything is.

use crate::reason::Rejections;
use serde::{Deserialize, Serialize};
use std::fmt;
use tallybox_model::digest::Digest;
use tallybox_model::header::BatchParameters;
use tallybox_model::id::Instance;
use tallybox_model::path::BatchName;

/// What a chunk holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChunkKind {
    /// Identifiers and verification messages.
    Messages,
    /// Shares, in the order of the messages.
    Shares,
    /// Identifiers and reason codes of packets without a message.
    Rejects,
    /// The sum of the shares of all packets with a message, an element a bin.
    Sum,
}

impl ChunkKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Messages, Self::Shares, Self::Rejects, Self::Sum];
}

/// Where a chunk is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChunkEntry {
    /// What it holds.
    pub kind: ChunkKind,
    /// Its first byte in the file.
    pub offset: u64,
    /// Its sealed length in bytes.
    pub length: u64,
    /// The index of its first item among those of its kind.
    pub first: u64,
    /// How many items it holds.
    pub count: u64,
}

/// An object that is fixed before it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FixedObject {
    /// Its name.
    pub object: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

impl FixedObject {
    /// Name, length and digest of a file.
    #[must_use]
    pub fn of(object: &str, file: &[u8]) -> Self {
        Self {
            object: object.to_owned(),
            bytes: file.len() as u64,
            sha256: Digest::of(file),
        }
    }
}

/// The validation batch that is published, or will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FixedValidation {
    /// The generation of the encoders that make these bytes.
    pub generation: u32,
    /// The packet file.
    pub packets: FixedObject,
    /// The header file. The signature follows from it and the key.
    pub header: FixedObject,
}

/// A packet key of ours, and what the packets are evaluated at that it opens: what is fixed of the key in its pin, and
/// repeated in the footer of each batch whose packets it has opened.
///
/// `Debug` leaves the point out, which is a secret of ingestor and processors.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyUse {
    /// The fingerprint of the key's public half.
    pub key: String,
    /// The instance whose packets it opens.
    pub instance: Instance,
    /// The number of bins of its packets; none for a bare key.
    pub bins: Option<u32>,
    /// The evaluation point of its packets; none if each may have its own.
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

/// The footer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Footer {
    /// The batch it was made of.
    pub batch: BatchName,
    /// What is counted, and how; from the ingestion header.
    pub parameters: BatchParameters,
    /// Packets read.
    pub packets: u64,
    /// Packets with a message.
    pub messages: u64,
    /// Packets without one, by reason.
    pub rejections: Rejections,
    /// Bytes of the ingestion batch's packet file.
    pub ingestion_bytes: u64,
    /// What is published.
    pub validation: FixedValidation,
    /// The packet keys whose packets were evaluated, in the order of their fingerprints.
    pub keys: Vec<KeyUse>,
    /// All chunks but this one, in the order of the file.
    pub chunks: Vec<ChunkEntry>,
}
