//! An entry of a roster: a batch with the sum contribution that the writer claims, or the reason
//! why it cannot be summed.

use super::OpenReason;
use crate::avro::{Record, RecordKind};
use crate::digest::Digest;
use crate::header::{BatchParameters, PRIME, digest_bytes};
use crate::id::{BatchId, PacketId};
use crate::path::BatchName;
use crate::time::BatchTime;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A batch of an aggregation, ordered by date, then by identifier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DatedBatch {
    /// The date in the batch's path.
    pub date: BatchTime,
    /// The batch's identifier.
    #[serde(rename = "batch")]
    pub id: BatchId,
}

impl DatedBatch {
    /// Extracts date and identifier of a batch.
    #[must_use]
    pub fn from_batch(name: &BatchName) -> Self {
        Self {
            date: name.date,
            id: name.id,
        }
    }
}

impl fmt::Display for DatedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.date, self.id)
    }
}

/// The contribution of a batch to a sum, as claimed by a processor. Two processors count the same
/// packets exactly if their claims are equal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Claim {
    /// The parameters from the ingestion header.
    pub parameters: BatchParameters,
    /// The number of packets that both processors accepted.
    pub accepted: u64,
    /// SHA-256 of the identifiers of these packets, 16 bytes each, sorted.
    pub digest: Digest,
}

impl Claim {
    /// Computes the digest of identifiers that are already sorted.
    #[must_use]
    pub fn digest_of(sorted: &[PacketId]) -> Digest {
        let bytes: Vec<u8> = sorted.iter().flat_map(|id| *id.as_bytes()).collect();
        Digest::sha256(&bytes)
    }
}

impl PartialEq for Claim {
    fn eq(&self, other: &Self) -> bool {
        self.parameters.same(&other.parameters)
            && (self.accepted, self.digest) == (other.accepted, other.digest)
    }
}

impl Eq for Claim {}

/// The state of a batch in a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The batch can be summed.
    Summable(Claim),
    /// The batch cannot be summed, either yet or ever.
    Open(OpenReason),
}

/// An entry (`TallyboxRosterEntry`), with the fields of its Avro record. If there is a reason, the
/// fields of the claim are empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// The batch.
    pub batch_uuid: BatchId,
    /// The date in the batch's path, in milliseconds since the epoch.
    pub batch_date: i64,
    /// The reason why the batch cannot be summed.
    #[serde(default)]
    pub reason: Option<String>,
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
    /// The number of packets that both processors accepted.
    pub accepted: i64,
    /// SHA-256 of the identifiers of these packets, 16 bytes each, sorted.
    #[serde(with = "digest_bytes")]
    pub accepted_digest: Digest,
}

impl RosterEntry {
    /// Creates the entry of a batch.
    #[must_use]
    pub fn new(batch: DatedBatch, listing: &Listing) -> Self {
        let mut entry = Self {
            batch_uuid: batch.id,
            batch_date: batch.date.millis(),
            reason: None,
            name: String::new(),
            bins: 0,
            epsilon: 0.0,
            prime: PRIME,
            number_of_servers: 0,
            hamming_weight: None,
            accepted: 0,
            accepted_digest: Digest::empty(),
        };
        match listing {
            Listing::Open(reason) => entry.reason = Some(reason.to_string()),
            Listing::Summable(claim) => {
                let parameters = &claim.parameters;
                entry.name.clone_from(&parameters.name);
                entry.bins = parameters.bins;
                entry.epsilon = parameters.epsilon;
                entry.prime = parameters.prime;
                entry.number_of_servers = parameters.number_of_servers;
                entry.hamming_weight = parameters.hamming_weight;
                entry.accepted = i64::try_from(claim.accepted).unwrap_or(i64::MAX);
                entry.accepted_digest = claim.digest;
            }
        }
        entry
    }

    /// Returns the batch; `None` if its date is not a whole minute of the years 1 to 9999.
    #[must_use]
    pub fn batch(&self) -> Option<DatedBatch> {
        let date = BatchTime::from_millis(self.batch_date)
            .filter(|date| date.millis() == self.batch_date)?;
        Some(DatedBatch {
            date,
            id: self.batch_uuid,
        })
    }

    /// Returns the state of the batch; `None` if a count is out of range.
    #[must_use]
    pub fn listing(&self) -> Option<Listing> {
        if let Some(reason) = &self.reason {
            return Some(Listing::Open(OpenReason::read(reason)));
        }
        Some(Listing::Summable(Claim {
            parameters: BatchParameters {
                name: self.name.clone(),
                bins: self.bins,
                epsilon: self.epsilon,
                prime: self.prime,
                number_of_servers: self.number_of_servers,
                hamming_weight: self.hamming_weight,
            },
            accepted: u64::try_from(self.accepted).ok()?,
            digest: self.accepted_digest,
        }))
    }
}

impl Record for RosterEntry {
    const KIND: RecordKind = RecordKind::RosterEntry;

    fn variable_bytes(&self) -> u64 {
        (self.name.len() + self.reason.as_ref().map_or(0, String::len) + 68) as u64
    }
}
