//! The key of records, and the file that hands it to a program which must not hold the key it is derived from.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

use super::trailer::id_of;

/// How the text of a key file begins. It tells a record key from a sealing key, which is 32 bytes in base64, too.
const MARK: &str = "tallybox-record-key-v1";

/// A text is no record key. The text stays out of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not a record key, which is the word {MARK}, a space, and base64 of 32 bytes; make one with `facilitator key record`"
)]
pub struct RecordKeyError;

/// 32 bytes that make and verify records, wiped when dropped.
#[derive(Clone)]
pub struct RecordKey {
    bytes: Zeroizing<[u8; 32]>,
    id: String,
}

impl RecordKey {
    /// The key of these bytes, which have to be uniformly random, or derived as such.
    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        let id = id_of(&bytes);
        Self { bytes, id }
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// If it is something else.
    pub fn parse(text: &str) -> Result<Self, RecordKeyError> {
        let (mark, encoded) = text.trim().split_once(' ').ok_or(RecordKeyError)?;
        let mut bytes = Zeroizing::new([0; 32]);
        let length = Base64::decode(encoded, bytes.as_mut_slice())
            .map_err(|_| RecordKeyError)?
            .len();
        match (mark, length) {
            (MARK, 32) => Ok(Self::from_bytes(bytes)),
            _ => Err(RecordKeyError),
        }
    }

    /// The text of a key file.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(Base64::encode_string(self.bytes.as_slice()));
        Zeroizing::new(format!("{MARK} {}", *encoded))
    }

    /// Eight hex digits that name this key in records. They tell nothing about it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
