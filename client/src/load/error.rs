//! Why a load cannot be generated.

use crate::error::ClientError;

/// Reasons why no load can be generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// TLS is not available.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// The configuration does not contain the metric.
    #[error("metric {0} is not in the configuration")]
    NoMetric(String),
    /// No metric has a weight above 0.
    #[error("no metric has a weight above 0")]
    NoMetrics,
    /// An option is out of range.
    #[error("{0}")]
    Setting(&'static str),
    /// A report could not be made.
    #[error("cannot make a report")]
    Make(#[from] ClientError),
    /// A report could not be encoded.
    #[error("cannot render a report: {0}")]
    Render(String),
}
