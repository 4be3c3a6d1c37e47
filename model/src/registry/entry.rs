//! One metric of the registry.

use crate::header::{BatchParameters, PRIME};
use crate::id::AggregationId;
use serde::{Deserialize, Serialize};

/// A metric, with everything that all its reports have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MetricEntry {
    /// Whether reports are accepted.
    pub state: MetricState,
    /// The meaning of the bins.
    pub encoding: MetricEncoding,
    /// Parameter of the clients' randomised response, above 0. Larger values add less noise.
    pub epsilon: f64,
    /// The number of bins that a client sets, if it is constant. The ingestor compares it with the
    /// report. Prio2 cannot prove it, so processors never enforce it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hamming_weight: Option<i32>,
    /// Modulus of the field. Only Prio2's value, 4293918721, is allowed, which is also the default.
    #[serde(default = "default_prime")]
    pub prime: i64,
    /// Hours between two reports of one client.
    pub cadence_hours: u32,
    /// The fraction of clients that take part each time, 0 to 1. Default 1.
    #[serde(default = "default_sampling")]
    pub sampling: f64,
    /// A description of the metric for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub meaning: String,
}

/// Whether reports of a metric are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricState {
    /// Accepted, and part of the clients' configuration.
    Accept,
    /// Still accepted from clients with an old configuration, but no longer part of the
    /// configuration.
    Drain,
    /// No longer accepted.
    Closed,
}

/// The meaning of the bins of a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MetricEncoding {
    /// The mapping of an answer to bins.
    pub kind: EncodingKind,
    /// The number of bins.
    pub bins: u32,
    /// The meaning of each bin, in order. Either all bins have a label or none; the digits of
    /// integers have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The groups of a grouped integer, in the order of their fields; other kinds have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The number of binary digits in each group's field; other kinds have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
}

/// The mapping of an answer to bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncodingKind {
    /// Exactly one bin is set.
    Histogram,
    /// Each bin is an independent yes or no.
    BitVector,
    /// Each bin is a binary digit of a number, least significant first.
    BoundedInteger,
    /// A number for one of several groups. Each group has a field: one membership bit, then the
    /// binary digits of the number, least significant first. The fields of other groups are 0.
    GroupedInteger,
}

/// The reason why an entry is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The number of bins is zero or exceeds the capacity of a batch.
    #[error("bins has to be 1 to {max}, not {bins}")]
    Bins {
        /// The number in the entry.
        bins: u32,
        /// The maximum number.
        max: u32,
    },
    /// The number of labels is neither zero nor the number of bins.
    #[error("there are {labels} labels for {bins} bins: write one label for each bin, or none")]
    Labels {
        /// The number of labels.
        labels: usize,
        /// The number of bins.
        bins: u32,
    },
    /// A bounded integer has too many bins, or labels.
    #[error("a bounded integer has 1 to 32 binary digits and no labels")]
    BoundedInteger,
    /// A grouped integer without groups, with a wrong number of bins, or with labels.
    #[error(
        "a grouped integer has groups, 1 to 32 bits, no labels, and (1 + bits) bins for each group"
    )]
    GroupedInteger,
    /// Another kind has groups or bits.
    #[error("only a grouped integer has groups and bits")]
    Groups,
    /// Epsilon is not a positive number in range.
    #[error("epsilon has to be a number above 0 and at most 64")]
    Epsilon,
    /// The sampling rate is not a probability.
    #[error("sampling has to be a number from 0 to 1")]
    Sampling,
    /// The cadence is zero.
    #[error("cadence-hours has to be 1 or more")]
    Cadence,
    /// The Hamming weight is not possible for the encoding.
    #[error("hamming-weight has to be 1 to the number of bins; a histogram's is 1")]
    Weight,
    /// The prime is not the modulus of Prio2's field.
    #[error("prime has to be 4293918721, Prio2's field")]
    Prime,
}

/// Maximum number of bins of a metric: a first share has to fit into a chunk of a prepared batch.
const MAX_BINS: u32 = 262_143;
/// Number of bytes that encryption adds to a share.
const SEALING_BYTES: u64 = 81;

impl MetricEncoding {
    /// Returns the number of bins of a grouped integer, if its groups and bits are valid.
    fn grouped_bins(&self) -> Option<u64> {
        let bits = self.bits.filter(|bits| (1..=32).contains(bits))?;
        Some(self.groups.len() as u64 * (1 + u64::from(bits)))
    }

    /// Checks that groups and bits belong to a grouped integer and agree with its bins.
    ///
    /// # Errors
    /// [`EntryError::Groups`] or [`EntryError::GroupedInteger`].
    pub fn check_groups(&self) -> Result<(), EntryError> {
        if self.kind != EncodingKind::GroupedInteger {
            let has_groups = !self.groups.is_empty() || self.bits.is_some();
            return if has_groups {
                Err(EntryError::Groups)
            } else {
                Ok(())
            };
        }
        // There is at least one bin, so that there is at least one group.
        if self.grouped_bins() == Some(u64::from(self.bins)) && self.labels.is_empty() {
            Ok(())
        } else {
            Err(EntryError::GroupedInteger)
        }
    }
}

impl MetricEntry {
    /// Returns the parameters for the headers of the metric's batches.
    #[must_use]
    pub fn parameters(&self, metric: &AggregationId) -> BatchParameters {
        BatchParameters {
            name: metric.to_string(),
            // `check` limits the number of bins, so the fallback is never used.
            bins: i32::try_from(self.encoding.bins).unwrap_or(i32::MAX),
            epsilon: self.epsilon,
            prime: self.prime,
            number_of_servers: 2,
            hamming_weight: self.hamming_weight,
        }
    }

    /// Returns the exact lengths in bytes of the encrypted shares of a report, the first
    /// processor's first. A first share has one value for each bin, three for the proof and one for
    /// each odd point of the domain, 4 bytes each. A second share is a seed.
    #[must_use]
    pub fn payload_lengths(&self) -> [u64; 2] {
        let bins = u64::from(self.encoding.bins);
        let domain = (bins + 1).next_power_of_two();
        [4 * (bins + 3 + domain) + SEALING_BYTES, 32 + SEALING_BYTES]
    }

    pub(super) fn check(&self) -> Result<(), EntryError> {
        let MetricEncoding {
            kind, bins, labels, ..
        } = &self.encoding;
        let bins = *bins;
        if bins == 0 || bins > MAX_BINS {
            return Err(EntryError::Bins {
                bins,
                max: MAX_BINS,
            });
        }
        if !labels.is_empty() && labels.len() != bins as usize {
            let labels = labels.len();
            return Err(EntryError::Labels { labels, bins });
        }
        if *kind == EncodingKind::BoundedInteger && (bins > 32 || !labels.is_empty()) {
            return Err(EntryError::BoundedInteger);
        }
        self.encoding.check_groups()?;
        // In this form, the condition also refuses NaN.
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
