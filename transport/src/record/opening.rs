//! Verifying a record that is read in pieces, in constant memory.

use sha2::{Digest as _, Sha256};

use super::{RecordFault, Records, TRAILER_BYTES};

/// A record of which more is to come. What was read must not be used before [`finish`](Self::finish) has verified it.
#[derive(Debug)]
pub struct Opening {
    records: Records,
    name: String,
    hash: Sha256,
    bytes: u64,
    /// The last bytes so far, at most as many as a trailer has.
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

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        let (before, last) = piece.split_at(piece.len().saturating_sub(TRAILER_BYTES));
        let kept = TRAILER_BYTES - last.len();
        let passed = self.tail.len().saturating_sub(kept);
        self.hash.update(&self.tail[..passed]);
        self.hash.update(before);
        self.bytes += (passed + before.len()) as u64;
        self.tail.drain(..passed);
        self.tail.extend_from_slice(last);
    }

    /// The SHA-256 and length of the payload, once everything was read.
    ///
    /// # Errors
    /// [`RecordFault`] if it is no record of ours.
    pub fn finish(self) -> Result<([u8; 32], u64), RecordFault> {
        let digest = self.hash.finalize().into();
        self.records.check(&self.name, (&digest, self.bytes), &self.tail)?;
        Ok((digest, self.bytes))
    }
}
