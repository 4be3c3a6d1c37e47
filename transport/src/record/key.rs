//! The key of records, and its file. The file is for programs that must not have the key from which
//! the record key is derived.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

use super::trailer::id_of;

/// The first word of a key file. It distinguishes a record key from a sealing key, which is 32
/// bytes in base64 as well.
const MARK: &str = "tallybox-record-key-v1";

/// The error for a text that is not a record key. The message does not contain the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the text is not a record key (the word {MARK}, a space, and base64 of 32 bytes); create one with \
     `facilitator key record`"
)]
pub struct RecordKeyError;

/// A key of 32 bytes that creates and verifies records. It is wiped when dropped.
#[derive(Clone)]
pub struct RecordKey {
    bytes: Zeroizing<[u8; 32]>,
    id: String,
}

impl RecordKey {
    /// Creates the key from bytes that have to be uniformly random or pseudorandom.
    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        let id = id_of(&bytes);
        Self { bytes, id }
    }

    /// Parses the text of a key file.
    ///
    /// # Errors
    /// [`RecordKeyError`] for any other text.
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

    /// Encodes the key as the text of a key file.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(Base64::encode_string(self.bytes.as_slice()));
        Zeroizing::new(format!("{MARK} {}", *encoded))
    }

    /// Returns eight hex digits that identify this key in records. They reveal nothing about it.
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
