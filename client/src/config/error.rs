//! Why there is no configuration to go by, and what to do.

use jiff::Timestamp;
use tallybox_crypto::{JwsError, KeyError};
use tallybox_model::id::KeyId;
use tallybox_model::packet_keys::PacketKeyConflict;
use thiserror::Error;

/// Why a configuration could not be fetched, or is not used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No answer.
    #[error("the configuration cannot be fetched: try again later")]
    Unreachable(#[source] reqwest::Error),
    /// An answer that is no document.
    #[error("the configuration was answered with status {status}: {}", status_advice(*status))]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// Longer than any configuration is.
    #[error("the configuration is longer than {limit} bytes: is it the right address?")]
    TooLong {
        /// The most that is read.
        limit: usize,
    },
    /// Not signed, or not by a key that is trusted.
    #[error("the configuration is not signed by a pinned key: update the application, or look for who changed it")]
    Signature(#[source] JwsError),
    /// Signed, and no configuration.
    #[error("the signed document is no client configuration: update the application")]
    Json(#[source] serde_json::Error),
    /// A format that this version does not know.
    #[error("the configuration has format {found}, this client knows {known}: update the application")]
    Format {
        /// The format of the document.
        found: u64,
        /// The one that is known.
        known: u64,
    },
    /// A version of the report's schema that this version does not know.
    #[error("the configuration asks for schema version {found}: update the application")]
    Schema {
        /// The version.
        found: i32,
    },
    /// Another locality's.
    #[error("the configuration is for locality {found:?}, not {expected:?}: correct the address or the setting")]
    Locality {
        /// The locality of the document.
        found: String,
        /// The one that is wanted.
        expected: String,
    },
    /// A time that is none.
    #[error("{member} of the configuration is no time as RFC 3339 has it: tell the ingestor's operator")]
    Time {
        /// The member.
        member: &'static str,
    },
    /// Signed in the future.
    #[error("the configuration is valid from {issued}: set the clock")]
    NotYetValid {
        /// When it was signed.
        issued: Timestamp,
    },
    /// Too old.
    #[error("the configuration has expired at {expires}: set the clock, or tell the ingestor's operator")]
    Expired {
        /// When it ended.
        expires: Timestamp,
    },
    /// Less noise than this client is ready to answer with.
    #[error("metric {metric} has epsilon {epsilon}, above the cap of {cap}: nothing is reported")]
    Epsilon {
        /// The metric.
        metric: String,
        /// What it asks for.
        epsilon: f64,
        /// The most that is accepted.
        cap: f64,
    },
    /// A metric that no report can be made of.
    #[error("metric {metric} cannot be reported, {problem}: tell the ingestor's operator")]
    Metric {
        /// The metric.
        metric: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A key that nothing can be sealed to.
    #[error("the packet key of processor {processor} for metric {metric} cannot be used: tell the ingestor's operator")]
    Key {
        /// The metric.
        metric: String,
        /// Index of the processor.
        processor: usize,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// A key of another number of bins than its metric has.
    #[error(
        "packet key {id} is for {bins} bins, metric {metric} has {expected}: nothing is reported, tell the ingestor's \
         operator"
    )]
    KeyBins {
        /// The metric.
        metric: String,
        /// The key.
        id: KeyId,
        /// The number of bins that the key is for.
        bins: u32,
        /// The number of bins of the metric.
        expected: u32,
    },
    /// A key that contradicts one of a metric before: with two numbers of bins, one key could be made to reveal answers.
    #[error("the packet keys of metric {metric} cannot be trusted: nothing is reported, tell the ingestor's operator")]
    KeyConflict {
        /// The metric.
        metric: String,
        /// What contradicts what.
        #[source]
        source: PacketKeyConflict,
    },
    /// Limits of nothing.
    #[error("the configuration's limits let no report through: tell the ingestor's operator")]
    Limits,
}

fn status_advice(status: u16) -> &'static str {
    match status {
        404 | 410 => "correct the address or the locality",
        408 | 429 | 500.. => "try again later",
        _ => "correct the address",
    }
}
