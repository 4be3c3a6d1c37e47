//! An entry of a roster: a batch that the writer can sum, with what it would count, or the reason why it cannot.

use super::OpenReason;
use crate::avro::{Record, RecordKind};
use crate::digest::Digest;
use crate::header::{BatchParameters, PRIME, digest_bytes};
use crate::id::{BatchId, PacketId};
use crate::path::BatchName;
use crate::time::BatchTime;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A batch of an aggregation, in the order in which batches count: by date, then by identifier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DatedBatch {
    /// The date in its path.
    pub date: BatchTime,
    /// Its identifier.
    #[serde(rename = "batch")]
    pub id: BatchId,
}

impl DatedBatch {
    /// Date and identifier of a batch.
    #[must_use]
    pub fn of(name: &BatchName) -> Self {
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

/// What a side would count of a batch. Two sides count the same exactly if their claims are equal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Claim {
    /// What is counted, and how; from the ingestion header.
    pub parameters: BatchParameters,
    /// How many packets both processors found good.
    pub accepted: u64,
    /// SHA-256 of their identifiers, 16 bytes each, sorted.
    pub digest: Digest,
}

impl Claim {
    /// The digest of identifiers that are sorted already.
    #[must_use]
    pub fn digest_of(sorted: &[PacketId]) -> Digest {
        let bytes: Vec<u8> = sorted.iter().flat_map(|id| *id.as_bytes()).collect();
        Digest::of(&bytes)
    }
}

impl PartialEq for Claim {
    fn eq(&self, other: &Self) -> bool {
        self.parameters.same(&other.parameters) && (self.accepted, self.digest) == (other.accepted, other.digest)
    }
}

impl Eq for Claim {}

/// What a roster says of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// It can be summed.
    Summable(Claim),
    /// It cannot be summed yet, or never.
    Open(OpenReason),
}

/// An entry (`TallyboxRosterEntry`), its fields as on the wire. Where there is a reason, the fields of the claim are empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// The batch.
    pub batch_uuid: BatchId,
    /// The date in its path, in milliseconds since the epoch.
    pub batch_date: i64,
    /// Why it cannot be summed.
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
    /// How many processors share each packet.
    pub number_of_servers: i32,
    /// How many bins a client may set, if the header asks for it.
    #[serde(default)]
    pub hamming_weight: Option<i32>,
    /// How many packets both processors found good.
    pub accepted: i64,
    /// SHA-256 of their identifiers, 16 bytes each, sorted.
    #[serde(with = "digest_bytes")]
    pub accepted_digest: Digest,
}

impl RosterEntry {
    /// The entry of a batch.
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

    /// The batch; `None` if its date is no whole minute of the years 1 to 9999.
    #[must_use]
    pub fn batch(&self) -> Option<DatedBatch> {
        let date = BatchTime::from_millis(self.batch_date).filter(|date| date.millis() == self.batch_date)?;
        Some(DatedBatch {
            date,
            id: self.batch_uuid,
        })
    }

    /// What it says of the batch; `None` if a count is out of its range.
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
