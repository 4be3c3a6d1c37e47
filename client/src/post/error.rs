//! Why no report could be made. What becomes of one that was made is an [`Outcome`](super::Outcome).

use std::error::Error as StdError;

use thiserror::Error;

use crate::config::ConfigError;
use crate::error::{ClientError, EncodeError};

/// Why no report could be made of an answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// There is no configuration to go by.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The locality does not count that.
    #[error("metric {metric} is not in the configuration: do not report it")]
    NotCounted {
        /// The metric.
        metric: String,
    },
    /// The answer is none to this metric.
    #[error("metric {metric}: correct the answer")]
    Encode {
        /// The metric.
        metric: String,
        /// What does not fit.
        #[source]
        source: EncodeError,
    },
    /// The report could not be split or sealed.
    #[error("metric {metric}: no report can be made")]
    Make {
        /// The metric.
        metric: String,
        /// What went wrong.
        #[source]
        source: ClientError,
    },
    /// Attestation is required, and there is nothing that attests.
    #[error("the locality takes attested reports only: give the reporter an attester")]
    NoAttester,
    /// The device could not attest, and has to.
    #[error("the device could not attest the report: try again, or do not report")]
    Attestation(#[source] Box<dyn StdError + Send + Sync>),
}
