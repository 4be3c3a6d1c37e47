//! Errors of making a report. All are caused by the caller, none by a peer.

use tallybox_crypto::{EciesError, Prio2Error};
use thiserror::Error;

/// A value that an [`Encoding`](crate::Encoding) cannot express. The error never contains the
/// value, because it is an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The value has another kind than the encoding.
    #[error("a {found} cannot be encoded as a {expected}")]
    Kind {
        /// The kind of the value.
        found: &'static str,
        /// The kind that the encoding expects.
        expected: &'static str,
    },
    /// The bucket or integer is not below the bound of the encoding.
    #[error("the value is not below {bound}")]
    OutOfRange {
        /// The first value that is too large.
        bound: u128,
    },
    /// The number of bits or counts differs from the number of bins.
    #[error("{found} values for {bins} bins; give one value per bin")]
    Length {
        /// Number of values given.
        found: usize,
        /// Number of bins of the encoding.
        bins: usize,
    },
    /// The integer encoding has more than 64 bits.
    #[error("an integer encoding has {bits} bits, and at most 64 are supported")]
    TooManyBits {
        /// The requested number of bits.
        bits: u32,
    },
}

/// An epsilon with which no randomised response exists.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("epsilon {0} is not a positive finite number")]
pub struct EpsilonError(pub f64);

/// Reasons why a report could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The number of processors differs from that of the scheme.
    #[error("{found} processor keys given, prio2 needs {expected}")]
    ProcessorCount {
        /// Number of keys given.
        found: usize,
        /// Number of processors of the scheme.
        expected: usize,
    },
    /// The vector cannot be split, for example because it is empty or too long.
    #[error("cannot split the bits into shares")]
    Split(#[from] Prio2Error),
    /// A share could not be sealed.
    #[error("cannot seal the share of processor {processor}")]
    Seal {
        /// Index of the processor.
        processor: usize,
        /// The cause.
        #[source]
        source: EciesError,
    },
    /// A generated value does not match its metric: a mistake in the metric's description.
    #[error("metric {metric}: a generated value does not match the encoding")]
    Encode {
        /// Name of the metric.
        metric: String,
        /// The cause.
        #[source]
        source: EncodeError,
    },
    /// The epsilon is out of range.
    #[error(transparent)]
    Epsilon(#[from] EpsilonError),
}
