//! Encodes answers as bins, and decodes sums of bins.

use serde::{Deserialize, Serialize};
use tallybox_model::registry::{EncodingKind, MetricEncoding};

use crate::error::EncodeError;

/// The form of a metric's bins. Every bin is one bit of a report; the processors add each bin
/// separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Encoding {
    /// One of `bins` buckets: exactly one bin is set. (Prio2 cannot prove that only one is set.)
    Histogram {
        /// Number of buckets.
        bins: usize,
    },
    /// `bins` yes-or-no answers, independent of each other.
    BitVector {
        /// Number of answers.
        bins: usize,
    },
    /// A number from 0 to 2^bits - 1, one bin per binary digit, least significant first. The proof
    /// that every bin is 0 or 1 also proves that the number is in range.
    BoundedInteger {
        /// Number of binary digits, at most 64.
        bits: u32,
    },
    /// A number from 0 to 2^bits - 1 for one of several groups. Each group has a field of 1 + bits
    /// bins: a membership bit, then the binary digits of the number, least significant first. The
    /// fields of the other groups are 0. (Prio2 cannot prove that only one field is used.)
    GroupedInteger {
        /// Number of groups.
        groups: usize,
        /// Number of binary digits, at most 64.
        bits: u32,
    },
}

/// An answer, before it is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// The number of a bucket, from 0.
    Bucket(usize),
    /// One bit per bin.
    Bits(Vec<bool>),
    /// A number.
    Integer(u64),
    /// A number for a group.
    Grouped {
        /// The number of the group, from 0.
        group: usize,
        /// The number.
        integer: u64,
    },
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Bucket(_) => "bucket",
            Self::Bits(_) => "bit vector",
            Self::Integer(_) => "bounded integer",
            Self::Grouped { .. } => "grouped integer",
        }
    }
}

impl Encoding {
    /// Returns the number of bins, which is the dimension of the shared vector.
    #[must_use]
    pub fn bins(&self) -> usize {
        match *self {
            Self::Histogram { bins } | Self::BitVector { bins } => bins,
            Self::BoundedInteger { bits } => bits as usize,
            Self::GroupedInteger { groups, bits } => groups.saturating_mul(1 + bits as usize),
        }
    }

    /// Encodes one answer as bins.
    ///
    /// # Errors
    /// [`EncodeError`] if the value has another kind or is out of range.
    pub fn encode(&self, value: &Value) -> Result<Vec<bool>, EncodeError> {
        match (*self, value) {
            (Self::Histogram { bins }, Value::Bucket(bucket)) => one_hot(bins, *bucket),
            (Self::BitVector { bins }, Value::Bits(bits)) if bits.len() == bins => Ok(bits.clone()),
            (Self::BitVector { bins }, Value::Bits(bits)) => Err(EncodeError::Length {
                found: bits.len(),
                bins,
            }),
            (Self::BoundedInteger { bits }, Value::Integer(integer)) => binary(bits, *integer),
            (Self::GroupedInteger { groups, bits }, Value::Grouped { group, integer }) => {
                field(groups, *group, &binary(bits, *integer)?)
            }
            _ => Err(EncodeError::Kind {
                found: value.kind(),
                expected: self.kind(),
            }),
        }
    }

    /// Returns the sum of all integers whose bins add to `counts`; `None` for encodings that are
    /// not numbers.
    ///
    /// # Errors
    /// [`EncodeError::Length`] unless there is one count per bin.
    pub fn sum(&self, counts: &[u64]) -> Result<Option<u128>, EncodeError> {
        self.check_counts(counts.len())?;
        let Self::BoundedInteger { bits } = *self else {
            return Ok(None);
        };
        check_bits(bits)?;
        // At most 64 digits and counts below 2^64, so the sum is below 2^128.
        Ok(Some(
            counts
                .iter()
                .zip(0..bits)
                .map(|(count, digit)| u128::from(*count) << digit)
                .sum(),
        ))
    }

    fn check_counts(&self, found: usize) -> Result<(), EncodeError> {
        let bins = self.bins();
        if found == bins {
            Ok(())
        } else {
            Err(EncodeError::Length { found, bins })
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Histogram { .. } => "bucket",
            Self::BitVector { .. } => "bit vector",
            Self::BoundedInteger { .. } => "bounded integer",
            Self::GroupedInteger { .. } => "grouped integer",
        }
    }
}

impl From<&MetricEncoding> for Encoding {
    fn from(metric: &MetricEncoding) -> Self {
        let bins = metric.bins as usize;
        match metric.kind {
            EncodingKind::Histogram => Self::Histogram { bins },
            EncodingKind::BitVector => Self::BitVector { bins },
            EncodingKind::BoundedInteger => Self::BoundedInteger { bits: metric.bins },
            EncodingKind::GroupedInteger => Self::GroupedInteger {
                groups: metric.groups.len(),
                bits: metric.bits.unwrap_or(0),
            },
        }
    }
}

impl From<Encoding> for MetricEncoding {
    /// Converts without labels; groups are numbered from 0. A number of bins beyond the range
    /// becomes the largest one, which a registry rejects.
    fn from(encoding: Encoding) -> Self {
        let kind = match encoding {
            Encoding::Histogram { .. } => EncodingKind::Histogram,
            Encoding::BitVector { .. } => EncodingKind::BitVector,
            Encoding::BoundedInteger { .. } => EncodingKind::BoundedInteger,
            Encoding::GroupedInteger { .. } => EncodingKind::GroupedInteger,
        };
        let (groups, bits) = match encoding {
            Encoding::GroupedInteger { groups, bits } => (groups, Some(bits)),
            _ => (0, None),
        };
        Self {
            kind,
            bins: u32::try_from(encoding.bins()).unwrap_or(u32::MAX),
            labels: Vec::new(),
            groups: (0..groups).map(|group| group.to_string()).collect(),
            bits,
        }
    }
}

fn one_hot(bins: usize, bucket: usize) -> Result<Vec<bool>, EncodeError> {
    if bucket >= bins {
        return Err(EncodeError::OutOfRange {
            bound: bins as u128,
        });
    }
    Ok((0..bins).map(|bin| bin == bucket).collect())
}

fn binary(bits: u32, integer: u64) -> Result<Vec<bool>, EncodeError> {
    check_bits(bits)?;
    let bound = 1_u128 << bits;
    if u128::from(integer) >= bound {
        return Err(EncodeError::OutOfRange { bound });
    }
    Ok((0..bits).map(|digit| integer >> digit & 1 == 1).collect())
}

/// Returns the fields of all groups, with the digits in the field of one.
fn field(groups: usize, group: usize, digits: &[bool]) -> Result<Vec<bool>, EncodeError> {
    if group >= groups {
        return Err(EncodeError::OutOfRange {
            bound: groups as u128,
        });
    }
    let length = 1 + digits.len();
    let mut bins = vec![false; groups * length];
    let start = group * length;
    bins[start] = true;
    bins[start + 1..start + length].copy_from_slice(digits);
    Ok(bins)
}

fn check_bits(bits: u32) -> Result<(), EncodeError> {
    if bits > u64::BITS {
        Err(EncodeError::TooManyBits { bits })
    } else {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_answers() {
        let histogram = Encoding::Histogram { bins: 4 };
        assert_eq!(
            histogram.encode(&Value::Bucket(2)).unwrap(),
            [false, false, true, false]
        );
        let vector = Encoding::BitVector { bins: 3 };
        assert_eq!(
            vector
                .encode(&Value::Bits(vec![true, false, true]))
                .unwrap(),
            [true, false, true]
        );
        let integer = Encoding::BoundedInteger { bits: 5 };
        assert_eq!(
            integer.encode(&Value::Integer(6)).unwrap(),
            [false, true, true, false, false]
        );
        let grouped = Encoding::GroupedInteger { groups: 3, bits: 2 };
        let value = Value::Grouped {
            group: 1,
            integer: 2,
        };
        assert_eq!(
            grouped.encode(&value).unwrap(),
            [false, false, false, true, false, true, false, false, false]
        );
        let all = Encoding::BoundedInteger { bits: 64 };
        assert!(
            all.encode(&Value::Integer(u64::MAX))
                .unwrap()
                .iter()
                .all(|bit| *bit)
        );
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let histogram = Encoding::Histogram { bins: 4 };
        let out_of_range = |bound| Err(EncodeError::OutOfRange { bound });
        assert_eq!(histogram.encode(&Value::Bucket(4)), out_of_range(4));
        let integer = Encoding::BoundedInteger { bits: 5 };
        assert_eq!(integer.encode(&Value::Integer(32)), out_of_range(32));
        let vector = Encoding::BitVector { bins: 3 };
        let length = Err(EncodeError::Length { found: 2, bins: 3 });
        assert_eq!(vector.encode(&Value::Bits(vec![true; 2])), length);
        let kind = Err(EncodeError::Kind {
            found: "bounded integer",
            expected: "bucket",
        });
        assert_eq!(histogram.encode(&Value::Integer(1)), kind);
        let grouped = Encoding::GroupedInteger { groups: 3, bits: 2 };
        let value = |group, integer| Value::Grouped { group, integer };
        assert_eq!(grouped.encode(&value(3, 0)), out_of_range(3));
        assert_eq!(grouped.encode(&value(2, 4)), out_of_range(4));
        let long = Encoding::BoundedInteger { bits: 65 };
        assert_eq!(
            long.encode(&Value::Integer(1)),
            Err(EncodeError::TooManyBits { bits: 65 })
        );
        assert_eq!(
            histogram.sum(&[1, 2]),
            Err(EncodeError::Length { found: 2, bins: 4 })
        );
    }

    #[test]
    fn the_registrys_encodings_are_ours() {
        for encoding in [
            Encoding::Histogram { bins: 5 },
            Encoding::BitVector { bins: 6 },
            Encoding::BoundedInteger { bits: 7 },
            Encoding::GroupedInteger { groups: 2, bits: 8 },
        ] {
            let metric = MetricEncoding::from(encoding);
            assert_eq!(metric.bins as usize, encoding.bins());
            assert_eq!(Encoding::from(&metric), encoding);
            assert_eq!(metric.check_groups(), Ok(()));
        }
    }

    #[test]
    fn only_integers_have_a_sum() {
        assert_eq!(Encoding::Histogram { bins: 2 }.sum(&[3, 4]), Ok(None));
        assert_eq!(
            Encoding::BoundedInteger { bits: 3 }.sum(&[3, 4, 5]),
            Ok(Some(3 + 8 + 20))
        );
        let largest = vec![u64::MAX; 64];
        let expected = u128::from(u64::MAX) * u128::from(u64::MAX);
        assert_eq!(
            Encoding::BoundedInteger { bits: 64 }.sum(&largest),
            Ok(Some(expected))
        );
    }

    proptest! {
        #[test]
        fn sums_of_integers_survive_encoding(integers in prop::collection::vec(0_u64..1 << 20, 1..50)) {
            let encoding = Encoding::BoundedInteger { bits: 20 };
            let mut counts = vec![0; 20];
            for integer in &integers {
                for (count, bit) in counts.iter_mut().zip(encoding.encode(&Value::Integer(*integer)).unwrap()) {
                    *count += u64::from(bit);
                }
            }
            let expected: u128 = integers.iter().map(|integer| u128::from(*integer)).sum();
            prop_assert_eq!(encoding.sum(&counts).unwrap(), Some(expected));
        }
    }
}
