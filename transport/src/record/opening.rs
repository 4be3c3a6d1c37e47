//! Verification of a record that is read in pieces, in constant memory.

use sha2::{Digest as _, Sha256};

use super::fault::RecordFault;
use super::{Records, TRAILER_BYTES};

/// A record that is being read. Its content must not be used before [`finish`](Self::finish) has
/// verified it.
#[derive(Debug)]
pub struct Opening {
    records: Records,
    name: String,
    hash: Sha256,
    bytes: u64,
    /// The last bytes so far, up to the length of a trailer.
    tail: Vec<u8>,
}

impl Opening {
    pub(super) fn new(records: Records, name: &str) -> Self {
        Self {
            records,
            name: name.to_owned(),
            hash: Sha256::new(),
            bytes: 0,
            tail: Vec::with_capacity(2 * TRAILER_BYTES),
        }
    }

    /// Processes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        let (before, last) = piece.split_at(piece.len().saturating_sub(TRAILER_BYTES));
        let retained = TRAILER_BYTES - last.len();
        let passed = self.tail.len().saturating_sub(retained);
        self.hash.update(&self.tail[..passed]);
        self.hash.update(before);
        self.bytes += (passed + before.len()) as u64;
        self.tail.drain(..passed);
        self.tail.extend_from_slice(last);
    }

    /// Verifies the record after the last piece, and returns the SHA-256 and length of the payload.
    ///
    /// # Errors
    /// [`RecordFault`] if the object is not a valid record.
    pub fn finish(self) -> Result<([u8; 32], u64), RecordFault> {
        let digest = self.hash.finalize().into();
        self.records
            .check(&self.name, (&digest, self.bytes), &self.tail)?;
        Ok((digest, self.bytes))
    }
}
