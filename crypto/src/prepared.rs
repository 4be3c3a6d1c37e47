//! Sealing of prepared batches: a processor's own records of an intake. Their content includes
//! decrypted shares.
//!
//! A file is a sequence of chunks of at most [`CHUNK`] bytes. Each chunk is sealed with
//! AES-256-GCM-SIV under a key derived for that file alone. The bytes are deterministic, so a
//! repeated run writes the same file. A repeated run with other content under the same name would
//! repeat nonces; AES-GCM-SIV tolerates this, plain GCM does not. The chunk's number and the flag
//! for the last chunk are authenticated, so that chunks cannot be dropped, duplicated or moved.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::error::SealError;
use crate::keys::SealingKey;
use crate::wipe::wipe;

/// Maximum length of a chunk's plaintext: 1 MiB.
pub const CHUNK: usize = 1 << 20;
/// Number of bytes that sealing adds to a chunk.
pub const TAG_LENGTH: usize = 16;
/// Version of the sealed format, authenticated with each chunk.
pub const FORMAT_VERSION: u8 = 1;

/// Domain separation between file keys and the other values derived from a sealing key.
const INFO: &[u8] = b"tallybox prepared batch file key v1";

/// The key of one file.
pub struct FileKey {
    key: LessSafeKey,
}

impl FileKey {
    /// Derives the key of the file that `context` describes (purpose, instance, aggregation, role,
    /// batch, digest of the ingestion header). The length of each part is included, so different
    /// contexts never have the same encoding.
    #[allow(
        clippy::expect_used,
        reason = "the key has the 32 bytes that the algorithm wants"
    )]
    pub fn derive(sealing: &SealingKey, context: &[&[u8]]) -> Self {
        let mut info = INFO.to_vec();
        info.extend((context.len() as u64).to_be_bytes());
        for part in context {
            info.extend((part.len() as u64).to_be_bytes());
            info.extend_from_slice(part);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        sealing.expand(&[&info], bytes.as_mut_slice());
        let key = UnboundKey::new(&AES_256_GCM_SIV, bytes.as_slice())
            .expect("32 bytes are an AES-256 key");
        Self {
            key: LessSafeKey::new(key),
        }
    }

    /// Encrypts a chunk in place and appends its tag.
    ///
    /// # Errors
    /// [`SealError::TooLong`] if the plaintext is longer than [`CHUNK`].
    pub fn seal_chunk(
        &self,
        number: u32,
        last: bool,
        plaintext: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let length = plaintext.len();
        let too_long = SealError::TooLong { length, max: CHUNK };
        if length > CHUNK {
            return Err(too_long);
        }
        plaintext.reserve_exact(TAG_LENGTH);
        self.key
            .seal_in_place_append_tag(
                nonce(number, last),
                Aad::from(associated(number, last)),
                plaintext,
            )
            .map_err(|_| too_long)
    }

    /// Decrypts a chunk in place and removes its tag. After an error, the chunk is empty.
    ///
    /// # Errors
    /// [`SealError::Tag`] if the chunk is damaged, has another number, has another value of `last`,
    /// or belongs to another file; [`SealError::TooShort`] or [`SealError::TooLong`] if its length
    /// is impossible.
    pub fn open_chunk(
        &self,
        number: u32,
        last: bool,
        chunk: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let result = self.open(number, last, chunk);
        match result {
            Ok(length) => chunk.truncate(length),
            Err(_) => {
                // The content of the chunk is undefined after a failed check.
                wipe(chunk);
                chunk.clear();
            }
        }
        result.map(|_| ())
    }

    fn open(&self, number: u32, last: bool, chunk: &mut [u8]) -> Result<usize, SealError> {
        let length = chunk.len();
        if length < TAG_LENGTH {
            return Err(SealError::TooShort { length });
        }
        if length > CHUNK + TAG_LENGTH {
            return Err(SealError::TooLong {
                length,
                max: CHUNK + TAG_LENGTH,
            });
        }
        self.key
            .open_in_place(
                nonce(number, last),
                Aad::from(associated(number, last)),
                chunk,
            )
            .map(|plaintext| plaintext.len())
            .map_err(|_| SealError::Tag { number })
    }
}

/// Builds the nonce: chunk number (big-endian), last flag, zeros.
fn nonce(number: u32, last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes[4] = u8::from(last);
    // A key belongs to one file, in which no two chunks have the same number.
    Nonce::assume_unique_for_key(bytes)
}

/// Builds the associated data: format version, chunk number (big-endian), last flag.
fn associated(number: u32, last: bool) -> [u8; 6] {
    let [a, b, c, d] = number.to_be_bytes();
    [FORMAT_VERSION, a, b, c, d, u8::from(last)]
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
