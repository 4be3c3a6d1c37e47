//! Identifiers of aggregations, instances, batches, packets and keys.

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The reason why a text is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text is empty, too long, or contains a character that object names do not allow.
    #[error(
        "{kind} {text:?} has to be 1 to {limit} characters of letters, digits and .-_ that do not start with a dot"
    )]
    Name {
        /// The kind of identifier that was expected.
        kind: &'static str,
        /// The text, shortened to a readable length.
        text: String,
        /// The longest allowed length, in bytes.
        limit: usize,
    },
    /// The name is reserved for a directory of the processor's own bucket.
    #[error("aggregation {0:?} is a reserved name")]
    Reserved(String),
    /// The text is not a UUID.
    #[error("{kind} {text:?} is not a UUID")]
    Uuid {
        /// The kind of identifier that was expected.
        kind: &'static str,
        /// The text, shortened to a readable length.
        text: String,
    },
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

fn check_name(kind: &'static str, text: &str, limit: usize) -> Result<(), IdError> {
    // A name is a component of object keys, which must not be `.` or `..`.
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.is_empty() || text.len() > limit || text.starts_with('.') || !text.chars().all(allowed)
    {
        return Err(IdError::Name {
            kind,
            text: shown(text),
            limit,
        });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $limit:literal, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check_name($kind, text, $limit)?;
                if $reserved.contains(&text) {
                    return Err(IdError::Reserved(text.to_owned()));
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Directories of a processor's own bucket that do not belong to an aggregation. The prepared
/// batches of an aggregation are in a directory of its name beside them, so none may have one of
/// these names.
const OWN_DIRECTORIES: [&str; 13] = [
    "batch-dates",
    "bucket-created",
    "extensions",
    "failed-proofs",
    "given-up",
    "leader",
    "points",
    "rosters",
    "sum-parts",
    "summed",
    "task-markers",
    "unconfirmed",
    "windows",
];

name!(
    /// The name of one statistic being collected, and the first component of the names of its
    /// batches. 1 to 200 characters, and none of the names that directories of a processor's own
    /// bucket have.
    AggregationId,
    "aggregation",
    200,
    OWN_DIRECTORIES
);
name!(
    /// A pair of locality and ingestor, `{locality}-{ingestor}`, and the first component of the
    /// names of sum parts.
    Instance,
    "instance",
    200,
    [""; 0]
);

/// The identifier of a key in a manifest, a signature or a packet. Its text is chosen by the key's
/// owner and is only compared.
pub type KeyId = String;

/// Parses a UUID in the forms that existing writers produce: hyphenated or simple, in either case.
fn parse_uuid(kind: &'static str, text: &str) -> Result<Uuid, IdError> {
    let bad = || IdError::Uuid {
        kind,
        text: shown(text),
    };
    // `Uuid::try_parse` also accepts the braced and the URN form, which no writer uses.
    if !matches!(text.len(), 32 | 36) {
        return Err(bad());
    }
    Uuid::try_parse(text).map_err(|_| bad())
}

/// Deserialises a UUID from text without a copy, whether the format lends the text or not.
struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Result<Uuid, IdError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of a UUID")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(parse_uuid("id", text))
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub Uuid);

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut buffer = [0; Hyphenated::LENGTH];
                serializer.serialize_str(self.0.hyphenated().encode_lower(&mut buffer))
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(TextVisitor).and_then(|id: Result<Uuid, IdError>| {
                    id.map(Self).map_err(serde::de::Error::custom)
                })
            }
        }

        impl $type {
            /// Returns the 16 bytes of the UUID, in the order of its text.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Creates the identifier from the 16 bytes of the UUID.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl FromStr for $type {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_uuid($kind, text).map(Self)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

uuid_id!(
    /// The identifier of a batch, contained in its object names and in its header.
    BatchId,
    "batch"
);
uuid_id!(
    /// The identifier that links the packets of one report at the two processors.
    PacketId,
    "packet"
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_stay_inside_an_object_name() {
        for good in ["a", "org.example.dim8", "kittens-seen", "A_b-1"] {
            assert_eq!(good.parse::<AggregationId>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a/b",
            "..",
            ".a",
            "task-markers",
            "a b",
            "é",
            &"x".repeat(201),
        ] {
            assert!(bad.parse::<AggregationId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn uuids_are_read_leniently_and_written_one_way() {
        let text = "00112233-4455-6677-8899-aabbccddeeff";
        for form in [text.to_owned(), text.replace('-', ""), text.to_uppercase()] {
            assert_eq!(form.parse::<BatchId>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "00112233",
            "urn:uuid:00112233-4455-6677-8899-aabbccddeeff",
            "{00112233-4455-6677-8899-aabbccddeef}",
        ] {
            assert!(bad.parse::<BatchId>().is_err(), "{bad}");
        }
    }
}
