//! The headers of the three batch kinds: the parameters of the aggregation and the digest of the
//! packets.

use crate::avro::{Record, RecordKind};
use crate::digest::Digest;
use crate::id::BatchId;
use serde::{Deserialize, Serialize};

/// The modulus of the Prio2 field, 2^32 - 2^20 + 1.
pub const PRIME: i64 = 4_293_918_721;

/// The parameters shared by all batches that are summed together. They are compared exactly,
/// epsilon bit for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BatchParameters {
    /// The aggregation's name, as in the path.
    pub name: String,
    /// The number of bins: the dimension of the vectors.
    pub bins: i32,
    /// The parameter of the clients' randomised response. Processors preserve it and never use it.
    #[serde(rename = "epsilon-bits", with = "float_bits")]
    pub epsilon: f64,
    /// The modulus of the field.
    pub prime: i64,
    /// The number of processors among which each report is split.
    pub number_of_servers: i32,
    /// The number of bins that a client sets, if the header contains it. Prio2 cannot prove it, so
    /// it is only preserved.
    pub hamming_weight: Option<i32>,
}

impl BatchParameters {
    /// Returns whether two headers have the same parameters. Floats are compared by their bits, so
    /// NaN equals itself.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }

    /// Encodes the parameters injectively: two encodings are equal exactly if the parameters are
    /// the same. The byte order of the encodings also serves as an order of parameter sets.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend((self.name.len() as u64).to_be_bytes());
        out.extend(self.name.as_bytes());
        out.extend(self.bins.to_be_bytes());
        out.extend(self.epsilon.to_bits().to_be_bytes());
        out.extend(self.prime.to_be_bytes());
        out.extend(self.number_of_servers.to_be_bytes());
        out.push(u8::from(self.hamming_weight.is_some()));
        out.extend(self.hamming_weight.unwrap_or_default().to_be_bytes());
        out
    }
}

/// The header of an ingestion batch (`PrioIngestionHeader`), with the fields of its Avro record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IngestionHeader {
    /// The batch's identifier, as in the path.
    pub batch_uuid: BatchId,
    /// The aggregation's name.
    pub name: String,
    /// The number of bins.
    pub bins: i32,
    /// The parameter of the clients' randomised response.
    pub epsilon: f64,
    /// The modulus of the field.
    #[serde(default = "default_prime")]
    pub prime: i64,
    /// The number of processors among which each report is split.
    #[serde(default = "default_servers")]
    pub number_of_servers: i32,
    /// The number of bins that a client sets, if the header contains it.
    #[serde(default)]
    pub hamming_weight: Option<i32>,
    /// Start of the time range of the packets, in milliseconds since the epoch. Never used, because
    /// some writers put seconds here.
    pub batch_start_time: i64,
    /// End of that range. Never used.
    pub batch_end_time: i64,
    /// SHA-256 of the whole packet file.
    #[serde(with = "digest_bytes")]
    pub packet_file_digest: Digest,
}

/// The header of a validation batch (`PrioValidityHeader`), with the fields of its Avro record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationHeader {
    /// The batch's identifier, as in the path.
    pub batch_uuid: BatchId,
    /// The aggregation's name.
    pub name: String,
    /// The number of bins.
    pub bins: i32,
    /// The parameter of the clients' randomised response.
    pub epsilon: f64,
    /// The modulus of the field.
    #[serde(default = "default_prime")]
    pub prime: i64,
    /// The number of processors among which each report is split.
    #[serde(default = "default_servers")]
    pub number_of_servers: i32,
    /// The number of bins that a client sets, if the header contains it.
    #[serde(default)]
    pub hamming_weight: Option<i32>,
    /// SHA-256 of the whole packet file.
    #[serde(with = "digest_bytes")]
    pub packet_file_digest: Digest,
}

/// The header of a sum part (`PrioSumPart`), with the fields of its Avro record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SumPart {
    /// The batches that the sum contains.
    pub batch_uuids: Vec<BatchId>,
    /// The aggregation's name.
    pub name: String,
    /// The number of bins.
    pub bins: i32,
    /// The parameter of the clients' randomised response.
    pub epsilon: f64,
    /// The modulus of the field.
    pub prime: i64,
    /// The number of processors among which each report is split.
    pub number_of_servers: i32,
    /// The number of bins that a client sets, if the header contains it.
    #[serde(default)]
    pub hamming_weight: Option<i32>,
    /// This processor's additive part of each bin's sum, in `0..prime`.
    pub sum: Vec<i64>,
    /// Start of the window, in milliseconds since the epoch.
    pub aggregation_start_time: i64,
    /// End of the window.
    pub aggregation_end_time: i64,
    /// SHA-256 of the file of invalid packets.
    #[serde(with = "digest_bytes")]
    pub packet_file_digest: Digest,
    /// The number of packets in the sum.
    pub total_individual_clients: i64,
}

impl IngestionHeader {
    /// Creates the header of a batch with these parameters.
    #[must_use]
    pub fn new(
        batch: BatchId,
        parameters: BatchParameters,
        window_millis: (i64, i64),
        packets: Digest,
    ) -> Self {
        let BatchParameters {
            name,
            bins,
            epsilon,
            prime,
            number_of_servers,
            hamming_weight,
        } = parameters;
        Self {
            batch_uuid: batch,
            name,
            bins,
            epsilon,
            prime,
            number_of_servers,
            hamming_weight,
            batch_start_time: window_millis.0,
            batch_end_time: window_millis.1,
            packet_file_digest: packets,
        }
    }
}

impl ValidationHeader {
    /// Creates the header of the validation of a batch with these parameters, which are copied bit
    /// for bit.
    #[must_use]
    pub fn new(batch: BatchId, parameters: BatchParameters, packets: Digest) -> Self {
        let BatchParameters {
            name,
            bins,
            epsilon,
            prime,
            number_of_servers,
            hamming_weight,
        } = parameters;
        let packet_file_digest = packets;
        Self {
            batch_uuid: batch,
            name,
            bins,
            epsilon,
            prime,
            number_of_servers,
            hamming_weight,
            packet_file_digest,
        }
    }
}

macro_rules! parameters {
    ($type:ident) => {
        impl $type {
            /// Returns the parameters of the aggregation.
            #[must_use]
            pub fn parameters(&self) -> BatchParameters {
                BatchParameters {
                    name: self.name.clone(),
                    bins: self.bins,
                    epsilon: self.epsilon,
                    prime: self.prime,
                    number_of_servers: self.number_of_servers,
                    hamming_weight: self.hamming_weight,
                }
            }
        }
    };
}

parameters!(IngestionHeader);
parameters!(ValidationHeader);
parameters!(SumPart);

impl Record for IngestionHeader {
    const KIND: RecordKind = RecordKind::IngestionHeader;

    fn variable_bytes(&self) -> u64 {
        self.name.len() as u64 + 68
    }
}

impl Record for ValidationHeader {
    const KIND: RecordKind = RecordKind::ValidationHeader;

    fn variable_bytes(&self) -> u64 {
        self.name.len() as u64 + 68
    }
}

impl Record for SumPart {
    const KIND: RecordKind = RecordKind::SumPart;

    fn variable_bytes(&self) -> u64 {
        (self.name.len() + 32 + 36 * self.batch_uuids.len() + 8 * self.sum.len()) as u64
    }
}

fn default_prime() -> i64 {
    PRIME
}

fn default_servers() -> i32 {
    2
}

/// Serialises floats as their bits, because decimal text can lose precision and cannot express NaN.
mod float_bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.to_bits())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}

/// Serialises digests as Avro bytes: 32 of them.
pub(crate) mod digest_bytes {
    use super::Digest;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        digest: &Digest,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&digest.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Digest, D::Error> {
        let bytes: Vec<u8> = serde_bytes::deserialize(deserializer)?;
        let bad = || {
            serde::de::Error::custom(format!(
                "packet_file_digest has {} bytes, not 32",
                bytes.len()
            ))
        };
        bytes.as_slice().try_into().map(Digest).map_err(|_| bad())
    }
}
