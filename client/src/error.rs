//! What can go wrong on the client's side. All of it is the caller's doing; nothing here comes from a peer.

use tallybox_crypto::{EciesError, Prio2Error};
use thiserror::Error;

/// A value that an [`Encoding`](crate::Encoding) cannot express. The value itself is never named: it is an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A bucket for bits, an integer for buckets, and so on.
    #[error("a {found} cannot be encoded as a {expected}")]
    Kind {
        /// The kind of the value.
        found: &'static str,
        /// The kind that the encoding takes.
        expected: &'static str,
    },
    /// A bucket or an integer that is not below the bound of the encoding.
    #[error("the value is not below {bound}")]
    OutOfRange {
        /// The first value that does not fit.
        bound: u128,
    },
    /// Another number of bits or counts than bins.
    #[error("{found} values given for {bins} bins")]
    Length {
        /// Number of values given.
        found: usize,
        /// Number of bins of the encoding.
        bins: usize,
    },
    /// An integer encoding of more than 64 bits.
    #[error("an integer of {bits} bits is longer than 64")]
    TooManyBits {
        /// The number of bits asked for.
        bits: u32,
    },
}

/// An epsilon that gives no randomised response.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("epsilon {0} is not a positive finite number")]
pub struct EpsilonError(pub f64);

/// Why a report could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Another number of processors than the scheme has.
    #[error("{found} processor keys given, prio2 shares between {expected}")]
    ProcessorCount {
        /// Number of keys given.
        found: usize,
        /// Number of processors of the scheme.
        expected: usize,
    },
    /// The vector cannot be split, for example because it is empty or too long.
    #[error("the bits cannot be split into shares")]
    Split(#[from] Prio2Error),
    /// A share could not be sealed.
    #[error("the share of processor {processor} cannot be sealed")]
    Seal {
        /// Index of the processor.
        processor: usize,
        /// What went wrong.
        #[source]
        source: EciesError,
    },
    /// A generator's value does not fit its metric: a mistake in the metric's description.
    #[error("metric {metric}: a generated value does not fit its encoding")]
    Encode {
        /// Name of the metric.
        metric: String,
        /// What does not fit.
        #[source]
        source: EncodeError,
    },
    /// An epsilon out of range.
    #[error(transparent)]
    Epsilon(#[from] EpsilonError),
}
