//! The signature object of a batch (`PrioBatchSignature`), which may hold the whole batch inline.

use crate::avro::{Record, RecordKind};
use crate::id::KeyId;
use serde::{Deserialize, Serialize};

/// A signature over a header file, and in the single-object form header and packets as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSignature {
    /// ECDSA P-256 with SHA-256 over the whole header file, ASN.1 DER.
    #[serde(with = "serde_bytes")]
    pub batch_header_signature: Vec<u8>,
    /// Which of the signer's keys verifies it.
    pub key_identifier: KeyId,
    /// The header file, if inline. Older writers have no such field.
    #[serde(with = "serde_bytes", default)]
    pub batch_header: Option<Vec<u8>>,
    /// The packet file, if inline.
    #[serde(with = "serde_bytes", default)]
    pub packets: Option<Vec<u8>>,
}

impl BatchSignature {
    /// Header and packets, if **both** are inline; otherwise a reader fetches both from objects of their own.
    #[must_use]
    pub fn inline(self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.batch_header.zip(self.packets)
    }
}

impl Record for BatchSignature {
    const KIND: RecordKind = RecordKind::BatchSignature;

    fn variable_bytes(&self) -> u64 {
        let inline = [&self.batch_header, &self.packets]
            .into_iter()
            .flatten()
            .map(Vec::len)
            .sum::<usize>();
        (self.batch_header_signature.len() + self.key_identifier.len() + inline) as u64
    }
}
