//! Reasons why no report could be made. The result of posting a report is an
//! [`PostOutcome`](super::PostOutcome).

use std::error::Error as StdError;

use thiserror::Error;

use crate::config::ClientConfigError;
use crate::error::{ClientError, EncodeError};

/// Reasons why no report could be made from an answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// There is no valid configuration.
    #[error(transparent)]
    Config(#[from] ClientConfigError),
    /// The locality does not collect this metric.
    #[error("metric {metric} is not in the configuration: do not report it")]
    NotCounted {
        /// The metric.
        metric: String,
    },
    /// The answer does not match the metric's encoding.
    #[error("metric {metric}: the answer does not match the encoding; correct the answer")]
    Encode {
        /// The metric.
        metric: String,
        /// The cause.
        #[source]
        source: EncodeError,
    },
    /// The report could not be split or sealed.
    #[error("metric {metric}: cannot make a report")]
    Make {
        /// The metric.
        metric: String,
        /// The cause.
        #[source]
        source: ClientError,
    },
    /// The locality requires attestation, and the reporter has no attester.
    #[error("the locality requires attested reports: set an attester in the reporter's options")]
    NoAttester,
    /// The device failed to attest the report, and the locality requires attestation.
    #[error("the device could not attest the report: try again, or do not report")]
    Attestation(#[source] Box<dyn StdError + Send + Sync>),
}
