//! A report as a client uploads it.

use crate::avro::{Record, RecordKind};
use crate::header::BatchParameters;
use serde::{Deserialize, Serialize};

/// A report with all data that a client uploads. The Avro record `TallyboxReport` has the same
/// fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportUpload {
    /// The metric that is reported, with its version.
    #[serde(rename = "metric_name")]
    pub metric: String,
    /// The report's id, a random UUID as text. A repeated upload has the same id.
    #[serde(rename = "uuid")]
    pub id: String,
    /// The time at which the client created the report, in milliseconds since the epoch. Not
    /// stored.
    #[serde(default)]
    pub created: Option<i64>,
    /// Version of the schema, 1 or 2.
    pub schema_version: i32,
    /// Number of bins.
    pub bins: i32,
    /// Parameter of the randomised response.
    pub epsilon: f64,
    /// Modulus of the field.
    pub prime: i64,
    /// The number of processors among which the report is split.
    #[serde(rename = "number_servers")]
    pub number_of_servers: i32,
    /// The number of bins that are set, if the metric defines it.
    #[serde(default)]
    pub hamming_weight: Option<i32>,
    /// The id of the first processor's key to which its share is encrypted.
    #[serde(rename = "encryption_key_id_first")]
    pub key_id_first: String,
    /// The first processor's share, encrypted (ECIES).
    #[serde(rename = "encrypted_payload_first", with = "serde_bytes")]
    pub payload_first: Vec<u8>,
    /// The id of the second processor's key to which its share is encrypted.
    #[serde(rename = "encryption_key_id_second")]
    pub key_id_second: String,
    /// The second processor's share, encrypted.
    #[serde(rename = "encrypted_payload_second", with = "serde_bytes")]
    pub payload_second: Vec<u8>,
    /// The attested key's signature over the report. Not stored.
    #[serde(default, with = "serde_bytes")]
    pub signature: Option<Vec<u8>>,
    /// The attested key's certificates in DER, leaf first. Not stored.
    #[serde(default)]
    pub certificate_chain: Vec<serde_bytes::ByteBuf>,
}

/// A device's attestation: a signature over the report, and the certificates of the signing key.
#[derive(Clone, Copy, Debug)]
pub struct Attestation<'a> {
    /// ECDSA P-256 with SHA-256, ASN.1 DER.
    pub signature: &'a [u8],
    /// Certificates in DER, leaf first.
    pub chain: &'a [serde_bytes::ByteBuf],
}

impl ReportUpload {
    /// Returns the parameters stated in the report, to be compared with the registry.
    #[must_use]
    pub fn parameters(&self) -> BatchParameters {
        BatchParameters {
            name: self.metric.clone(),
            bins: self.bins,
            epsilon: self.epsilon,
            prime: self.prime,
            number_of_servers: self.number_of_servers,
            hamming_weight: self.hamming_weight,
        }
    }

    /// Returns the encrypted shares, the first processor's first.
    #[must_use]
    pub fn payloads(&self) -> [&[u8]; 2] {
        [&self.payload_first, &self.payload_second]
    }

    /// Returns the ids of the keys to which the shares are encrypted.
    #[must_use]
    pub fn key_ids(&self) -> [&str; 2] {
        [&self.key_id_first, &self.key_id_second]
    }

    /// Returns the attestation if any part of it is present. A signature without certificates
    /// counts as an attestation, which is then invalid.
    #[must_use]
    pub fn attestation(&self) -> Option<Attestation<'_>> {
        if self.signature.is_none() && self.certificate_chain.is_empty() {
            return None;
        }
        Some(Attestation {
            signature: self.signature.as_deref().unwrap_or_default(),
            chain: &self.certificate_chain,
        })
    }
}

impl Record for ReportUpload {
    const KIND: RecordKind = RecordKind::ReportUpload;

    fn variable_bytes(&self) -> u64 {
        let texts =
            self.metric.len() + self.id.len() + self.key_id_first.len() + self.key_id_second.len();
        let bytes = self.payload_first.len() + self.payload_second.len();
        let attestation = self.signature.as_ref().map_or(0, Vec::len);
        let chain: usize = self
            .certificate_chain
            .iter()
            .map(|certificate| certificate.len())
            .sum();
        (texts + bytes + attestation + chain) as u64
    }
}
