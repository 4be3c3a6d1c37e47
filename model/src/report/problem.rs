//! The reasons for which a report is rejected, as RFC 9457 problem details with stable types and
//! titles.

use serde::{Deserialize, Serialize};

/// The prefix of a problem's name in its type URI.
const PREFIX: &str = "urn:tallybox:problem:";

/// The stable types of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The report cannot be parsed.
    Malformed,
    /// The whole body is too large or contains too many reports.
    TooLarge,
    /// The body has an unsupported media type or content encoding.
    UnsupportedMedia,
    /// The body did not arrive in time.
    SlowBody,
    /// The locality is unknown.
    UnknownLocality,
    /// There is no resource at this path.
    NotFound,
    /// The resource does not support this method.
    MethodNotAllowed,
    /// The registry does not contain the metric.
    UnknownMetric,
    /// The metric is closed.
    MetricClosed,
    /// Bins, epsilon, weight, prime or the number of processors differ from the registry.
    ParameterMismatch,
    /// The schema version is not supported.
    SchemaVersion,
    /// The id is not a random UUID.
    BadReportId,
    /// The report was created in the future.
    TooEarly,
    /// The report is too old.
    TooLate,
    /// A share is encrypted to a key that is not in use or no longer in use.
    OutdatedKey,
    /// The shares are encrypted to keys for a number of bins other than the metric's.
    KeyOfOtherBins,
    /// The two processors' shares, or the ids of their keys, are swapped.
    SwappedShares,
    /// The length of an encrypted share differs from that of all shares of its metric.
    BadShareLength,
    /// An encrypted share does not begin with a point of the curve.
    BadEphemeralKey,
    /// The report has no attestation, but one is required.
    AttestationRequired,
    /// The attestation does not verify.
    AttestationFailed,
    /// The device has already reported this metric on this day.
    AlreadyReported,
    /// Another report with this id was accepted.
    Conflict,
    /// The client's network address has sent too many reports.
    RateLimited,
    /// The ingestor is at its capacity.
    Overloaded,
    /// The report could not be made durable.
    Unavailable,
}

impl ProblemKind {
    /// All kinds.
    pub const ALL: [Self; 26] = [
        Self::Malformed,
        Self::TooLarge,
        Self::UnsupportedMedia,
        Self::SlowBody,
        Self::UnknownLocality,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::UnknownMetric,
        Self::MetricClosed,
        Self::ParameterMismatch,
        Self::SchemaVersion,
        Self::BadReportId,
        Self::TooEarly,
        Self::TooLate,
        Self::OutdatedKey,
        Self::KeyOfOtherBins,
        Self::SwappedShares,
        Self::BadShareLength,
        Self::BadEphemeralKey,
        Self::AttestationRequired,
        Self::AttestationFailed,
        Self::AlreadyReported,
        Self::Conflict,
        Self::RateLimited,
        Self::Overloaded,
        Self::Unavailable,
    ];

    /// Returns the name used in the type URI and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Returns the HTTP status for a POST request with this report alone.
    #[must_use]
    pub fn status(self) -> u16 {
        self.row().1
    }

    /// Returns a short description of the problem.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// Returns the next step for the client.
    #[must_use]
    pub fn next(self) -> &'static str {
        self.row().3
    }

    /// Returns the kind with this name or type URI.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Creates the problem document.
    #[must_use]
    pub fn problem(self, detail: impl Into<String>) -> Problem {
        Problem {
            kind: format!("{PREFIX}{}", self.name()),
            title: self.title().to_owned(),
            status: self.status(),
            detail: detail.into(),
            next: self.next().to_owned(),
        }
    }

    fn row(self) -> (&'static str, u16, &'static str, &'static str) {
        const REFETCH: &str = "fetch the configuration again, then create a new report";
        const FIX: &str = "correct the client; the same report will not be accepted";
        const LATER: &str = "send the same report again after the time in Retry-After";
        match self {
            Self::Malformed => ("malformed", 400, "the report cannot be read", FIX),
            Self::TooLarge => (
                "tooLarge",
                413,
                "the body is too large",
                "send fewer reports at once",
            ),
            Self::UnsupportedMedia => (
                "unsupportedMedia",
                415,
                "the media type or encoding of the body is not supported",
                "send application/json or avro/binary, uncompressed or compressed with gzip or zstd",
            ),
            Self::SlowBody => ("slowBody", 408, "the body did not arrive in time", LATER),
            Self::UnknownLocality => (
                "unknownLocality",
                404,
                "the locality is unknown",
                "correct the address",
            ),
            Self::NotFound => (
                "notFound",
                404,
                "there is no resource at this path",
                "correct the address",
            ),
            Self::MethodNotAllowed => (
                "methodNotAllowed",
                405,
                "the resource does not support this method",
                "correct the method",
            ),
            Self::UnknownMetric => ("unknownMetric", 400, "the metric is unknown", REFETCH),
            Self::MetricClosed => (
                "metricClosed",
                410,
                "the metric is closed",
                "stop reporting this metric",
            ),
            Self::ParameterMismatch => (
                "parameterMismatch",
                400,
                "the parameters differ from those of the metric",
                REFETCH,
            ),
            Self::SchemaVersion => (
                "schemaVersion",
                400,
                "the schema version is not supported",
                FIX,
            ),
            Self::BadReportId => (
                "badReportId",
                400,
                "the id is not a random UUID (version 4)",
                FIX,
            ),
            Self::TooEarly => (
                "tooEarly",
                400,
                "the report was created in the future",
                "set the clock, then send the same report again",
            ),
            Self::TooLate => ("tooLate", 400, "the report is too old", "drop the report"),
            Self::OutdatedKey => (
                "outdatedKey",
                400,
                "a share is encrypted to a key that is not in use",
                REFETCH,
            ),
            Self::KeyOfOtherBins => (
                "keyOfOtherBins",
                400,
                "the shares are encrypted to keys for another number of bins",
                "encrypt to the keys in the configuration of this metric; the same report will not be accepted",
            ),
            Self::SwappedShares => (
                "swappedShares",
                400,
                "the two processors' shares are swapped",
                FIX,
            ),
            Self::BadShareLength => (
                "badShareLength",
                400,
                "an encrypted share has the wrong length",
                FIX,
            ),
            Self::BadEphemeralKey => (
                "badEphemeralKey",
                400,
                "an encrypted share does not begin with a point of the curve",
                FIX,
            ),
            Self::AttestationRequired => {
                ("attestationRequired", 403, "attestation is required", FIX)
            }
            Self::AttestationFailed => (
                "attestationFailed",
                403,
                "the attestation does not verify",
                FIX,
            ),
            Self::AlreadyReported => (
                "alreadyReported",
                409,
                "this device has already reported the metric today",
                "drop the report, and report again tomorrow",
            ),
            Self::Conflict => (
                "conflict",
                409,
                "another report with this id was accepted",
                "drop the report, or create a new one with a new id",
            ),
            Self::RateLimited => ("rateLimited", 429, "too many reports", LATER),
            Self::Overloaded => ("overloaded", 503, "the ingestor is at its capacity", LATER),
            Self::Unavailable => ("unavailable", 503, "the report could not be stored", LATER),
        }
    }
}

/// A problem document (RFC 9457) with one extension member: the next step for the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The type URI: `urn:tallybox:problem:` and the name.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short, stable description of the kind of problem.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The problem of this particular report.
    pub detail: String,
    /// The next step for the client.
    pub next: String,
}

impl Problem {
    /// Returns the kind of the problem, if this version knows it.
    #[must_use]
    pub fn known(&self) -> Option<ProblemKind> {
        ProblemKind::named(&self.kind)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_found_again_and_none_stands_twice() {
        for (index, kind) in ProblemKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(ProblemKind::named(kind.name()), Some(kind));
            let problem = kind.problem("detail");
            assert_eq!(problem.known(), Some(kind));
            assert!((400..=599).contains(&problem.status));
        }
        assert_eq!(ProblemKind::named("nonsense"), None);
    }
}
