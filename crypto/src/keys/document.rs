//! The file of a packet key: the key itself, with the instance and the number of bins it is
//! restricted to.
//!
//! The share of the second processor is a seed that is valid for any number of bins, and a packet
//! does not contain the instance or the number of bins it was made for. The restriction is
//! therefore part of the key: the key that opens a packet determines the number of bins for which
//! the packet may be evaluated.

use super::text::is_document;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::PacketPrivateKey;
use crate::error::KeyError;
use crate::prio2::Prio2;

/// The value of the member `purpose`.
const PURPOSE: &str = "packet";
/// Initial capacity for a document, so that no reallocation leaves a copy of the secret in memory.
const DOCUMENT_BYTES: usize = 4 << 10;
/// Maximum length of an identifier or an instance, in characters.
const NAME_LENGTH: usize = 200;

/// A packet key with the instance and the number of bins to which it is restricted.
///
/// The type has no `Debug`, so that the secret cannot be printed with its surroundings.
pub struct PacketKeyDocument {
    /// The identifier under which packets name the key.
    pub id: String,
    /// The pair of locality and ingestor whose packets the key opens.
    pub instance: String,
    /// The number of bins of every packet that is encrypted to the key.
    pub bins: u32,
    /// The time at which the key was generated, `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339 in UTC).
    pub created: String,
    /// The key.
    pub key: PacketPrivateKey,
}

/// The JSON object. Its texts are borrowed, so that the secret is not copied.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'t> {
    purpose: &'t str,
    id: &'t str,
    instance: &'t str,
    bins: u32,
    created: &'t str,
    private: &'t str,
}

impl PacketKeyDocument {
    /// Parses a document. All six members have to be present, in any order, and no other member.
    /// `private` is base64 of the 65-byte point and the 32-byte scalar.
    ///
    /// # Errors
    /// [`KeyError::Document`] with the invalid member, or the error of the key itself.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let written: Written<'_> = serde_json::from_str(text.trim()).map_err(|_| {
            bad("is not a JSON object of purpose, id, instance, bins, created and private")
        })?;
        if written.purpose != PURPOSE {
            return Err(bad("has a purpose other than \"packet\""));
        }
        let key = PacketPrivateKey::parse(written.private)?;
        if *key.to_x963_base64() != written.private {
            return Err(bad(
                "needs base64 of point and scalar, 97 bytes, as `private`",
            ));
        }
        let document = Self {
            id: written.id.to_owned(),
            instance: written.instance.to_owned(),
            bins: written.bins,
            created: written.created.to_owned(),
            key,
        };
        document.check()?;
        Ok(document)
    }

    /// Serialises the document as JSON text with a final newline.
    ///
    /// # Errors
    /// [`KeyError::Document`] if [`parse`](Self::parse) would not accept a member.
    pub fn to_json(&self) -> Result<Zeroizing<String>, KeyError> {
        self.check()?;
        let private = self.key.to_x963_base64();
        let written = Written {
            purpose: PURPOSE,
            id: &self.id,
            instance: &self.instance,
            bins: self.bins,
            created: &self.created,
            private: &private,
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(DOCUMENT_BYTES));
        let written = serde_json::to_writer_pretty(&mut *bytes, &written);
        written.map_err(|_| bad("cannot be serialised"))?;
        bytes.push(b'\n');
        let text = String::from_utf8(std::mem::take(&mut *bytes));
        text.map(Zeroizing::new)
            .map_err(|_| bad("cannot be serialised"))
    }

    fn check(&self) -> Result<(), KeyError> {
        // The parser borrows its texts, which requires that they contain no escape sequences.
        let plain = |text: &str| {
            (1..=NAME_LENGTH).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        };
        if !plain(&self.id) {
            return Err(bad("needs an `id` of 1 to 200 printable ASCII characters"));
        }
        if !plain(&self.instance) {
            return Err(bad(
                "needs an `instance` of 1 to 200 printable ASCII characters",
            ));
        }
        let bins = usize::try_from(self.bins).unwrap_or(usize::MAX);
        if Prio2::new(bins).is_err() {
            return Err(bad(
                "has a number of bins that Prio2 does not support: use 1 to 524287",
            ));
        }
        if !is_time(&self.created) {
            return Err(bad("needs a time YYYY-MM-DDTHH:MM:SSZ as `created`"));
        }
        Ok(())
    }
}

/// Returns whether a text has the form of a time in UTC. The reader of the time checks that the
/// date exists.
fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = |(byte, form): (u8, &u8)| match form {
        b'd' => byte.is_ascii_digit(),
        form => byte == *form,
    };
    text.len() == FORM.len() && text.bytes().zip(FORM).all(fits)
}

fn bad(problem: &'static str) -> KeyError {
    KeyError::Document { problem }
}

/// The content of the file of a packet decryption key.
pub enum PacketKeyFile {
    /// A document, which restricts the key to an instance and a number of bins.
    Document(Box<PacketKeyDocument>),
    /// A bare key in one of the predecessor's encodings, which opens packets of any instance and
    /// number of bins.
    Bare(Box<PacketPrivateKey>),
}

impl PacketKeyFile {
    /// Parses a document, or a bare key in any encoding of [`PacketPrivateKey::parse`].
    ///
    /// # Errors
    /// [`KeyError`] if the text is neither.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if is_document(text) {
            return PacketKeyDocument::parse(text)
                .map(|document| Self::Document(Box::new(document)));
        }
        PacketPrivateKey::parse(text).map(|key| Self::Bare(Box::new(key)))
    }

    /// Returns the key without its restriction.
    #[must_use]
    pub fn key(&self) -> &PacketPrivateKey {
        match self {
            Self::Document(document) => &document.key,
            Self::Bare(key) => key,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const VECTOR: &str = include_str!("../../testdata/packet-key.json");

    fn refused(text: &str) -> KeyError {
        PacketKeyDocument::parse(text).err().expect("it is refused")
    }

    #[test]
    fn the_vector_is_read_and_written_again() {
        let document = PacketKeyDocument::parse(VECTOR).unwrap();
        assert_eq!(document.id, "first-packet-1");
        assert_eq!(document.instance, "us-xx-ingestor");
        assert_eq!(
            (document.bins, document.created.as_str()),
            (5, "2026-01-01T00:00:00Z")
        );
        assert_eq!(document.key.public().fingerprint(), "2bad0fd610d99eae");
        assert_eq!(document.to_json().unwrap().as_str(), VECTOR);
        let PacketKeyFile::Document(reread) =
            PacketKeyFile::parse(&format!("\n {VECTOR}")).unwrap()
        else {
            panic!("a document");
        };
        assert_eq!(reread.to_json().unwrap(), document.to_json().unwrap());
    }

    #[test]
    fn a_bare_key_is_known_as_one() {
        let document = PacketKeyDocument::parse(VECTOR).unwrap();
        let bare = PacketKeyFile::parse(&document.key.to_x963_base64()).unwrap();
        assert!(matches!(bare, PacketKeyFile::Bare(_)));
        assert_eq!(bare.key().public(), document.key.public());
    }

    #[test]
    fn every_member_is_checked() {
        for (from, to, named) in [
            (r#""packet""#, r#""signing""#, "purpose"),
            (r#""first-packet-1""#, r#""""#, "`id`"),
            (r#""us-xx-ingestor""#, r#""""#, "`instance`"),
            (r#""us-xx-ingestor""#, r#""a b""#, "`instance`"),
            (r#""bins": 5"#, r#""bins": 0"#, "bins"),
            (r#""bins": 5"#, r#""bins": 524288"#, "bins"),
            (r#""bins": 5"#, r#""bins": -5"#, "JSON"),
            (r#""bins": 5"#, r#""bins": 5, "colour": 1"#, "JSON"),
            (r#""bins": 5,"#, "", "JSON"),
            (
                "2026-01-01T00:00:00Z",
                "2026-01-01T00:00:00+01:00",
                "`created`",
            ),
            ("2026-01-01T00:00:00Z", "2026-01-01", "`created`"),
            ("EREQ==", "EREQ", "`private`"),
        ] {
            let text = VECTOR.replace(from, to);
            assert_ne!(text, VECTOR, "{from}");
            let error = refused(&text);
            assert!(error.to_string().contains(named), "{to}: {error}");
        }
        let other_half = VECTOR.replace("EREQ==", "ERIQ==");
        assert_ne!(other_half, VECTOR);
        assert_ne!(refused(&other_half), KeyError::Encoding);
        assert!(matches!(refused("{}"), KeyError::Document { .. }));
    }

    #[test]
    fn a_document_is_no_other_key() {
        let misplaced = |error: KeyError| {
            assert!(
                error.to_string().contains("does not belong here"),
                "{error}"
            )
        };
        misplaced(super::super::SigningKey::parse(VECTOR).err().unwrap());
        misplaced(super::super::SealingKey::parse(VECTOR).err().unwrap());
        misplaced(super::super::VerifyingKey::parse(VECTOR).unwrap_err());
        misplaced(super::super::PacketPublicKey::parse(VECTOR).unwrap_err());
        misplaced(PacketPrivateKey::parse(VECTOR).err().unwrap());
    }
}
