//! A report as an ingestor stores it until it is batched.

use super::ReportUpload;
use super::digest::{ReportDigest, report_digest};
use crate::avro::{Record, RecordKind};
use crate::header::BatchParameters;
use serde::{Deserialize, Serialize};

/// An accepted report in a slab, borrowed from the block it was decoded from. The record contains
/// its metric's parameters, so that a batch does not depend on later changes of the registry. It
/// contains no time, no address and no attestation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredReport<'a> {
    /// The report's id, lower-case and hyphenated.
    #[serde(rename = "uuid", borrow)]
    pub id: &'a str,
    /// The metric.
    #[serde(rename = "metric_name", borrow)]
    pub metric: &'a str,
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
    #[serde(rename = "encryption_key_id_first", borrow)]
    pub key_id_first: &'a str,
    /// The id of the second processor's key to which its share is encrypted.
    #[serde(rename = "encryption_key_id_second", borrow)]
    pub key_id_second: &'a str,
    /// The first processor's share, encrypted.
    #[serde(rename = "encrypted_payload_first", with = "serde_bytes", borrow)]
    pub payload_first: &'a [u8],
    /// The second processor's share, encrypted.
    #[serde(rename = "encrypted_payload_second", with = "serde_bytes", borrow)]
    pub payload_second: &'a [u8],
    /// Start of the first window that had too few reports to batch this one, in milliseconds since
    /// the epoch.
    #[serde(default)]
    pub carried_since: Option<i64>,
}

impl<'a> StoredReport<'a> {
    /// Returns the stored part of an upload; `id` is the canonical spelling of its id.
    #[must_use]
    pub fn from_upload(upload: &'a ReportUpload, id: &'a str) -> Self {
        Self {
            id,
            metric: &upload.metric,
            bins: upload.bins,
            epsilon: upload.epsilon,
            prime: upload.prime,
            number_of_servers: upload.number_of_servers,
            hamming_weight: upload.hamming_weight,
            key_id_first: &upload.key_id_first,
            key_id_second: &upload.key_id_second,
            payload_first: &upload.payload_first,
            payload_second: &upload.payload_second,
            carried_since: None,
        }
    }

    /// Returns the parameters for the header of its batch.
    #[must_use]
    pub fn parameters(&self) -> BatchParameters {
        BatchParameters {
            name: self.metric.to_owned(),
            bins: self.bins,
            epsilon: self.epsilon,
            prime: self.prime,
            number_of_servers: self.number_of_servers,
            hamming_weight: self.hamming_weight,
        }
    }

    /// Computes the digest that identifies the report, and the digests of its shares.
    #[must_use]
    pub fn digest(&self) -> ReportDigest {
        report_digest(
            self.id,
            &self.parameters(),
            [self.key_id_first, self.key_id_second],
            [self.payload_first, self.payload_second],
        )
    }
}

impl Record for StoredReport<'_> {
    const KIND: RecordKind = RecordKind::StoredReport;

    fn variable_bytes(&self) -> u64 {
        let texts =
            self.id.len() + self.metric.len() + self.key_id_first.len() + self.key_id_second.len();
        (texts + self.payload_first.len() + self.payload_second.len()) as u64
    }
}
