//! The conversion of a key file's text to bytes, with detection of its wrapping (PEM or base64).

use base64ct::{Base64, Base64Unpadded, Encoding as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::KeyError;

/// The text that deployment tools write into a secret without a key.
const PLACEHOLDER: &str = "not-a-real-key";

/// The text of a key, with its wrapping recognised.
pub(crate) enum KeyText<'t> {
    /// PEM, with the label between `BEGIN` and the dashes.
    Pem { label: &'t str, text: &'t str },
    /// Base64, decoded.
    Bytes(Zeroizing<Vec<u8>>),
}

impl<'t> KeyText<'t> {
    pub(crate) fn read(text: &'t str) -> Result<Self, KeyError> {
        let text = text.trim();
        match text {
            "" => return Err(KeyError::Empty),
            PLACEHOLDER => return Err(KeyError::Placeholder),
            // Without this case, base64 decoding would report a document as a wrong encoding.
            text if is_document(text) => {
                let problem = "does not belong here: another kind of key is expected";
                return Err(KeyError::Document { problem });
            }
            _ => {}
        }
        match text.strip_prefix("-----BEGIN ") {
            Some(rest) => {
                let (label, _) = rest.split_once("-----").ok_or(KeyError::Encoding)?;
                Ok(Self::Pem { label, text })
            }
            None => decode(text).map(Self::Bytes),
        }
    }
}

/// Decodes base64 with or without padding. White space inside the text is skipped, because files
/// may be wrapped.
fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    // Allocate the whole length at once: a reallocation would leave copies of the secret in memory.
    let mut compact = Zeroizing::new(Vec::with_capacity(text.len()));
    compact.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut bytes = Zeroizing::new(vec![0; compact.len() / 4 * 3 + 3]);
    let padded = compact.len().is_multiple_of(4);
    let decoded = match padded {
        true => Base64::decode(compact.as_slice(), &mut bytes),
        false => Base64Unpadded::decode(compact.as_slice(), &mut bytes),
    };
    let length = decoded.map_err(|_| KeyError::Encoding)?.len();
    bytes.truncate(length);
    Ok(bytes)
}

/// Encodes bytes as standard base64 with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Encodes a secret as standard base64 with padding.
pub(crate) fn encode_secret(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(Base64::encode_string(bytes))
}

/// Encodes a secret as standard base64 without padding.
pub(crate) fn encode_secret_unpadded(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(Base64Unpadded::encode_string(bytes))
}

/// Returns the first 16 hex digits of the SHA-256 of `point`: short enough to read aloud, long
/// enough to compare.
pub(crate) fn fingerprint(point: &[u8]) -> String {
    hex(&Sha256::digest(point)[..8])
}

/// Formats bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Copies a slice into an array; returns `None` if the lengths differ.
pub(crate) fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// Returns whether a text is intended as a document rather than a bare key.
pub(super) fn is_document(text: &str) -> bool {
    text.trim_start().starts_with('{')
}
