//! A report as a client uploads it.

use crate::avro::{Record, RecordKind};
use crate::header::BatchParameters;
use serde::{Deserialize, Serialize};

/// One report, with everything a client says about it. The Avro record `TallyboxReport` is this, field by field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportUpload {
    /// The metric it is for, with its version.
    #[serde(rename = "metric_name")]
    pub metric: String,
    /// The report's id, a random UUID as text; a repeated upload has the same one.
    #[serde(rename = "uuid")]
    pub id: String,
    /// When the client made it, in milliseconds since the epoch. Not kept.
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
    /// How many processors share the report.
    #[serde(rename = "number_servers")]
    pub number_of_servers: i32,
    /// How many bins are set, if the metric says so.
    #[serde(default)]
    pub hamming_weight: Option<i32>,
    /// Which key of the first processor its share is sealed to.
    #[serde(rename = "encryption_key_id_first")]
    pub key_id_first: String,
    /// The first processor's share, sealed (ECIES).
    #[serde(rename = "encrypted_payload_first", with = "serde_bytes")]
    pub payload_first: Vec<u8>,
    /// Which key of the second processor its share is sealed to.
    #[serde(rename = "encryption_key_id_second")]
    pub key_id_second: String,
    /// The second processor's share, sealed.
    #[serde(rename = "encrypted_payload_second", with = "serde_bytes")]
    pub payload_second: Vec<u8>,
    /// The attested key's signature over the report. Not kept.
    #[serde(default, with = "serde_bytes")]
    pub signature: Option<Vec<u8>>,
    /// The attested key's certificates in DER, leaf first. Not kept.
    #[serde(default)]
    pub certificate_chain: Vec<serde_bytes::ByteBuf>,
}

/// What a device says about itself: a signature over the report, and the certificates of the key that made it.
#[derive(Clone, Copy, Debug)]
pub struct Attestation<'a> {
    /// ECDSA P-256 with SHA-256, ASN.1 DER.
    pub signature: &'a [u8],
    /// Certificates in DER, leaf first.
    pub chain: &'a [serde_bytes::ByteBuf],
}

impl ReportUpload {
    /// What the report says it is, to be compared with the registry.
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

    /// The sealed shares, the first processor's first.
    #[must_use]
    pub fn payloads(&self) -> [&[u8]; 2] {
        [&self.payload_first, &self.payload_second]
    }

    /// The ids of the keys that the shares are sealed to.
    #[must_use]
    pub fn key_ids(&self) -> [&str; 2] {
        [&self.key_id_first, &self.key_id_second]
    }

    /// The attestation, if there is any of it: a signature without certificates is one, too, and a bad one.
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
        let texts = self.metric.len() + self.id.len() + self.key_id_first.len() + self.key_id_second.len();
        let bytes = self.payload_first.len() + self.payload_second.len();
        let attestation = self.signature.as_ref().map_or(0, Vec::len);
        let chain: usize = self.certificate_chain.iter().map(|certificate| certificate.len()).sum();
        (texts + bytes + attestation + chain) as u64
    }
}
