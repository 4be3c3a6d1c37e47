//! Reasons why a client has no valid configuration, and the next step.

use jiff::Timestamp;
use tallybox_crypto::{JwsError, KeyError};
use tallybox_model::id::KeyId;
use tallybox_model::packet_keys::PacketKeyConflict;
use thiserror::Error;

/// Reasons why a configuration could not be fetched or is rejected.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientConfigError {
    /// The ingestor did not respond.
    #[error("cannot fetch the configuration: try again later")]
    Unreachable(#[source] reqwest::Error),
    /// The response is not a document.
    #[error("the ingestor answered the request for the configuration with status {status}: {}", status_advice(*status))]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The document exceeds the size limit.
    #[error("the configuration is longer than {limit} bytes: check the address")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The document is not signed, or not by a trusted key.
    #[error(
        "the configuration is not signed by a pinned key: update the application, or find out who changed the document"
    )]
    Signature(#[source] JwsError),
    /// The document is signed, but is not a configuration.
    #[error("the signed document is not a client configuration: update the application")]
    Json(#[source] serde_json::Error),
    /// This version does not support the format.
    #[error(
        "the configuration has format {found}, and this client supports {supported}: update the application"
    )]
    Format {
        /// The format of the document.
        found: u64,
        /// The supported format.
        supported: u64,
    },
    /// This version does not support the schema version of reports.
    #[error("the configuration requires schema version {found}: update the application")]
    Schema {
        /// The schema version of the document.
        found: i32,
    },
    /// The document is for another locality.
    #[error(
        "the configuration is for locality {found:?}, not {expected:?}: correct the address or the setting"
    )]
    Locality {
        /// The locality of the document.
        found: String,
        /// The expected locality.
        expected: String,
    },
    /// A time is not valid.
    #[error(
        "{member} of the configuration is not an RFC 3339 time: inform the ingestor's operator"
    )]
    Time {
        /// The member of the document.
        member: &'static str,
    },
    /// The document was signed in the future.
    #[error("the configuration is valid from {issued}: correct this machine's clock")]
    NotYetValid {
        /// The time of the signature.
        issued: Timestamp,
    },
    /// The document has expired.
    #[error(
        "the configuration expired at {expires}: correct this machine's clock, or inform the ingestor's operator"
    )]
    Expired {
        /// The time of expiry.
        expires: Timestamp,
    },
    /// A metric has less noise than this client accepts.
    #[error("metric {metric} has epsilon {epsilon}, above the limit of {cap}: nothing is reported")]
    Epsilon {
        /// The metric.
        metric: String,
        /// The metric's epsilon.
        epsilon: f64,
        /// The largest accepted epsilon.
        cap: f64,
    },
    /// A metric cannot be reported.
    #[error("metric {metric} cannot be reported, {problem}: inform the ingestor's operator")]
    Metric {
        /// The metric.
        metric: String,
        /// The problem.
        problem: String,
    },
    /// A packet key is not usable.
    #[error(
        "the packet key of processor {processor} for metric {metric} is not usable: inform the ingestor's operator"
    )]
    Key {
        /// The metric.
        metric: String,
        /// Index of the processor.
        processor: usize,
        /// The cause.
        #[source]
        source: KeyError,
    },
    /// A packet key is for another number of bins than its metric has.
    #[error(
        "packet key {id} is for {bins} bins, and metric {metric} has {expected}: nothing is reported, inform the ingestor's \
         operator"
    )]
    KeyBins {
        /// The metric.
        metric: String,
        /// The id of the key.
        id: KeyId,
        /// The key's number of bins.
        bins: u32,
        /// The metric's number of bins.
        expected: u32,
    },
    /// A packet key contradicts a key of an earlier metric. A key that is used with two numbers of
    /// bins could be abused to reveal answers.
    #[error(
        "the packet keys of metric {metric} cannot be trusted: nothing is reported, inform the ingestor's operator"
    )]
    KeyConflict {
        /// The metric.
        metric: String,
        /// The contradiction.
        #[source]
        source: PacketKeyConflict,
    },
    /// The limits permit no report.
    #[error("the configuration's limits permit no report: inform the ingestor's operator")]
    FileLimits,
}

fn status_advice(status: u16) -> &'static str {
    match status {
        404 | 410 => "correct the address or the locality",
        408 | 429 | 500.. => "try again later",
        _ => "correct the address",
    }
}
