//! What can be wrong with a report, in words that never change: RFC 9457 problem details.

use serde::{Deserialize, Serialize};

/// What stands before the name of a problem in its type.
const PREFIX: &str = "urn:tallybox:problem:";

/// The stable types of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The report cannot be read.
    Malformed,
    /// The body as a whole is too large, or holds too many reports.
    TooLarge,
    /// The body is of another media type, or packed in an unknown way.
    UnsupportedMedia,
    /// The body did not come in time.
    SlowBody,
    /// Nobody counts here for that locality.
    UnknownLocality,
    /// No such page.
    NotFound,
    /// Another method.
    MethodNotAllowed,
    /// The registry has no such metric.
    UnknownMetric,
    /// The metric is closed.
    MetricClosed,
    /// Bins, epsilon, weight, prime or the number of processors are not the registry's.
    ParameterMismatch,
    /// A version of the schema that is not taken.
    SchemaVersion,
    /// The id is not a random UUID.
    BadReportId,
    /// Made in the future.
    TooEarly,
    /// Made too long ago.
    TooLate,
    /// Sealed to a key that is not, or no longer, in use.
    OutdatedKey,
    /// Sealed to keys of another number of bins than the metric has.
    KeyOfOtherBins,
    /// The two processors' shares, or the ids of their keys, are exchanged.
    SwappedShares,
    /// A sealed share has another length than all of its metric have.
    BadShareLength,
    /// A sealed share does not begin with a point of the curve.
    BadEphemeralKey,
    /// Attestation is required and there is none.
    AttestationRequired,
    /// The attestation does not hold.
    AttestationFailed,
    /// The device has reported this metric on this day already.
    AlreadyReported,
    /// Another report with this id was accepted.
    Conflict,
    /// Too many reports from there.
    RateLimited,
    /// More than can be worked on at the moment.
    Overloaded,
    /// The report could not be made durable.
    Unavailable,
}

impl ProblemKind {
    /// All of them.
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

    /// The name, as in the type's URN and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status of a post of this report alone.
    #[must_use]
    pub fn status(self) -> u16 {
        self.row().1
    }

    /// What is wrong, in a few words.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// What the client does next.
    #[must_use]
    pub fn next(self) -> &'static str {
        self.row().3
    }

    /// The kind with this name or type.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The problem document.
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
        const REFETCH: &str = "fetch the configuration again, then make a new report";
        const FIX: &str = "correct the client; the same report will not be accepted";
        const LATER: &str = "send the same report again after the time in Retry-After";
        match self {
            Self::Malformed => ("malformed", 400, "the report cannot be read", FIX),
            Self::TooLarge => ("tooLarge", 413, "the body is too large", "send fewer reports at once"),
            Self::UnsupportedMedia => (
                "unsupportedMedia",
                415,
                "the body is of another media type or encoding",
                "send application/json or avro/binary, as it is or packed by gzip or zstd",
            ),
            Self::SlowBody => ("slowBody", 408, "the body did not come in time", LATER),
            Self::UnknownLocality => ("unknownLocality", 404, "no such locality", "correct the address"),
            Self::NotFound => ("notFound", 404, "no such page", "correct the address"),
            Self::MethodNotAllowed => ("methodNotAllowed", 405, "no such method here", "correct the method"),
            Self::UnknownMetric => ("unknownMetric", 400, "no such metric", REFETCH),
            Self::MetricClosed => ("metricClosed", 410, "the metric is closed", "do not report it any more"),
            Self::ParameterMismatch => (
                "parameterMismatch",
                400,
                "the parameters are not those of the metric",
                REFETCH,
            ),
            Self::SchemaVersion => ("schemaVersion", 400, "no such version of the schema", FIX),
            Self::BadReportId => ("badReportId", 400, "the id is not a random UUID (version 4)", FIX),
            Self::TooEarly => (
                "tooEarly",
                400,
                "the report is from the future",
                "set the clock, then send it again",
            ),
            Self::TooLate => ("tooLate", 400, "the report is too old", "drop it"),
            Self::OutdatedKey => ("outdatedKey", 400, "a share is sealed to a key not in use", REFETCH),
            Self::KeyOfOtherBins => (
                "keyOfOtherBins",
                400,
                "the shares are sealed to keys of another number of bins",
                "seal to the keys that the configuration names for this metric; the same report will not be accepted",
            ),
            Self::SwappedShares => ("swappedShares", 400, "the two processors' shares are exchanged", FIX),
            Self::BadShareLength => ("badShareLength", 400, "a sealed share has another length", FIX),
            Self::BadEphemeralKey => (
                "badEphemeralKey",
                400,
                "a sealed share does not begin with a point of the curve",
                FIX,
            ),
            Self::AttestationRequired => ("attestationRequired", 403, "attestation is required", FIX),
            Self::AttestationFailed => ("attestationFailed", 403, "the attestation does not hold", FIX),
            Self::AlreadyReported => (
                "alreadyReported",
                409,
                "this device has reported the metric today",
                "drop it, and report tomorrow",
            ),
            Self::Conflict => (
                "conflict",
                409,
                "another report with this id was accepted",
                "drop it, or make a new report with a new id",
            ),
            Self::RateLimited => ("rateLimited", 429, "too many reports", LATER),
            Self::Overloaded => ("overloaded", 503, "too much to do at the moment", LATER),
            Self::Unavailable => ("unavailable", 503, "the report could not be kept", LATER),
        }
    }
}

/// A problem document (RFC 9457), with a member of ours: what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:tallybox:problem:` and the name.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is wrong, in a few words that never change.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this report.
    pub detail: String,
    /// What the client does next.
    pub next: String,
}

impl Problem {
    /// Its kind, if this version knows it.
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
        for (place, kind) in ProblemKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert_eq!(ProblemKind::named(kind.name()), Some(kind));
            let problem = kind.problem("detail");
            assert_eq!(problem.known(), Some(kind));
            assert!((400..=599).contains(&problem.status));
        }
        assert_eq!(ProblemKind::named("nonsense"), None);
    }
}
