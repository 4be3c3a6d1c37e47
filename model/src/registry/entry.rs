//! One metric of the registry.

use crate::header::{BatchParameters, PRIME};
use crate::id::AggregationId;
use serde::{Deserialize, Serialize};

/// A metric: everything that all its reports have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MetricEntry {
    /// Whether reports are taken.
    pub state: MetricState,
    /// What the bins are.
    pub encoding: MetricEncoding,
    /// Parameter of the clients' randomised response, above 0; larger is less noise.
    pub epsilon: f64,
    /// How many bins a client sets, if it is always as many. Prio2 cannot prove it: it is compared, never enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hamming_weight: Option<i32>,
    /// Modulus of the field; only Prio2's, 4293918721, the default.
    #[serde(default = "default_prime")]
    pub prime: i64,
    /// Hours between two reports of one client.
    pub cadence_hours: u32,
    /// The share of clients that take part each time, 0 to 1. Default 1.
    #[serde(default = "default_sampling")]
    pub sampling: f64,
    /// What is counted, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub meaning: String,
}

/// Whether a metric's reports are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricState {
    /// Taken, and clients are told to send them.
    Accept,
    /// Still taken from clients with an old configuration; nobody is told to send them.
    Drain,
    /// No longer taken.
    Closed,
}

/// What the bins of a metric are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MetricEncoding {
    /// How an answer becomes bins.
    pub kind: EncodingKind,
    /// How many there are.
    pub bins: u32,
    /// What each bin means, in order. Either all have a label or none; the digits of a bounded integer have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// How an answer becomes bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncodingKind {
    /// Exactly one bin is set.
    Histogram,
    /// Each bin is a yes or no of its own.
    BitVector,
    /// Each bin is a binary digit of a number, least significant first.
    BoundedInteger,
}

/// Why an entry cannot be as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// No bins, or more than a batch can carry.
    #[error("bins are 1 to {max}, not {bins}")]
    Bins {
        /// What is written.
        bins: u32,
        /// The most there can be.
        max: u32,
    },
    /// As many labels as bins, or none.
    #[error("there are {labels} labels for {bins} bins: one for each, or none")]
    Labels {
        /// How many labels.
        labels: usize,
        /// How many bins.
        bins: u32,
    },
    /// The digits of a number.
    #[error("a bounded integer has 1 to 32 binary digits and no labels")]
    BoundedInteger,
    /// Not a positive number.
    #[error("epsilon has to be a number above 0 and at most 64")]
    Epsilon,
    /// Not a probability.
    #[error("sampling has to be a number from 0 to 1")]
    Sampling,
    /// Never.
    #[error("cadence-hours has to be 1 or more")]
    Cadence,
    /// Cannot be that many.
    #[error("hamming-weight has to be 1 to the number of bins; a histogram's is 1")]
    Weight,
    /// Another field.
    #[error("prime has to be 4293918721, Prio2's field")]
    Prime,
}

/// Most bins of a metric: a first share has to fit a chunk of a prepared batch.
const MAX_BINS: u32 = 262_143;
/// Bytes that sealing adds to a share.
const SEALING: u64 = 81;

impl MetricEntry {
    /// What the headers of the metric's batches carry.
    #[must_use]
    pub fn parameters(&self, metric: &AggregationId) -> BatchParameters {
        BatchParameters {
            name: metric.to_string(),
            // `check` has bounded it.
            bins: i32::try_from(self.encoding.bins).unwrap_or(i32::MAX),
            epsilon: self.epsilon,
            prime: self.prime,
            number_of_servers: 2,
            hamming_weight: self.hamming_weight,
        }
    }

    /// The exact lengths in bytes of the sealed shares of a report, the first processor's first: a first share has a
    /// value a bin, three of the proof and one for each odd point of the domain, 4 bytes each; a second is a seed.
    #[must_use]
    pub fn payload_lengths(&self) -> [u64; 2] {
        let bins = u64::from(self.encoding.bins);
        let domain = (bins + 1).next_power_of_two();
        [4 * (bins + 3 + domain) + SEALING, 32 + SEALING]
    }

    pub(super) fn check(&self) -> Result<(), EntryError> {
        let MetricEncoding { kind, bins, labels } = &self.encoding;
        let bins = *bins;
        if bins == 0 || bins > MAX_BINS {
            return Err(EntryError::Bins { bins, max: MAX_BINS });
        }
        if !labels.is_empty() && labels.len() != bins as usize {
            let labels = labels.len();
            return Err(EntryError::Labels { labels, bins });
        }
        if *kind == EncodingKind::BoundedInteger && (bins > 32 || !labels.is_empty()) {
            return Err(EntryError::BoundedInteger);
        }
        if !(self.epsilon > 0.0 && self.epsilon <= 64.0) {
            return Err(EntryError::Epsilon);
        }
        if !(0.0..=1.0).contains(&self.sampling) {
            return Err(EntryError::Sampling);
        }
        if self.cadence_hours == 0 {
            return Err(EntryError::Cadence);
        }
        let most = if *kind == EncodingKind::Histogram {
            1
        } else {
            i64::from(bins)
        };
        if self
            .hamming_weight
            .is_some_and(|weight| !(1..=most).contains(&i64::from(weight)))
        {
            return Err(EntryError::Weight);
        }
        if self.prime != PRIME {
            return Err(EntryError::Prime);
        }
        Ok(())
    }
}

fn default_prime() -> i64 {
    PRIME
}

fn default_sampling() -> f64 {
    1.0
}
