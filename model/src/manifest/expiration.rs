//! The expiration of a published key: a time to enforce, and the original text to publish again
//! unchanged.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

/// The time at which a published key ceases to be valid.
///
/// ENPA's key rotator writes RFC 3339; its ingestion side wrote the compact ISO 8601 form without
/// separators. Both forms are accepted, also without an offset (interpreted as UTC) and without a
/// time of day (interpreted as the day's first moment in UTC). The original text is preserved, so
/// that a manifest serialises to the bytes with which it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiration {
    text: String,
    at: Timestamp,
}

impl Expiration {
    /// Parses an expiration.
    ///
    /// # Errors
    /// The parser's error, if the text has none of the forms above.
    pub fn parse(text: &str) -> Result<Self, jiff::Error> {
        let at = text
            .parse::<Timestamp>()
            // The error of the RFC 3339 parser is reported, because RFC 3339 is the usual form.
            .or_else(|error| without_offset(text).ok_or(error))?;
        Ok(Self {
            text: text.to_owned(),
            at,
        })
    }

    /// Creates an expiration at a moment, written as RFC 3339 in UTC.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        Self {
            text: at.to_string(),
            at,
        }
    }

    /// Returns the first moment at which the key is no longer valid.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.at
    }

    /// Returns whether the key is no longer valid at `now`.
    #[must_use]
    pub fn has_passed(&self, now: Timestamp) -> bool {
        self.at <= now
    }

    /// Returns the text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn without_offset(text: &str) -> Option<Timestamp> {
    let local = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0)))
        .ok()?;
    Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

impl Serialize for Expiration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_that_was_published() {
        let moment: Timestamp = "2123-06-30T12:34:56Z".parse().unwrap();
        for text in [
            "2123-06-30T12:34:56Z",
            "2123-06-30T12:34:56.000000000Z",
            "2123-06-30T14:34:56+02:00",
            "21230630T123456Z",
            "21230630T143456+0200",
            "21230630T123456",
            "2123-06-30T12:34:56",
        ] {
            let expiration = Expiration::parse(text).unwrap();
            assert_eq!(
                (expiration.timestamp(), expiration.as_str()),
                (moment, text)
            );
        }
        let day: Timestamp = "2123-06-30T00:00:00Z".parse().unwrap();
        for text in ["2123-06-30", "21230630"] {
            assert_eq!(Expiration::parse(text).unwrap().timestamp(), day);
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "never",
            "2123-13-01T00:00:00Z",
            "2123-06-31T00:00:00Z",
            "4843391234",
        ] {
            assert!(Expiration::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn passes_at_its_moment() {
        let moment: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let expiration = Expiration::at(moment);
        assert_eq!(expiration.as_str(), "2030-01-01T00:00:00Z");
        assert!(expiration.has_passed(moment));
        assert!(!expiration.has_passed(moment - jiff::SignedDuration::from_nanos(1)));
    }
}
