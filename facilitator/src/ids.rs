//! A set of 16-byte identifiers that grows without a large copy.

use std::collections::HashSet;

/// Shards: each grows by itself, so that growing never needs twice the memory of the whole.
const SHARDS: usize = 64;

/// Identifiers that have been seen. Who chooses them does not matter: the hash is keyed at random.
#[derive(Debug)]
pub struct IdSet {
    shards: Vec<HashSet<[u8; 16]>>,
}

impl Default for IdSet {
    fn default() -> Self {
        Self {
            shards: vec![HashSet::new(); SHARDS],
        }
    }
}

impl IdSet {
    /// Adds an identifier; `false` if it was there.
    pub fn insert(&mut self, id: [u8; 16]) -> bool {
        // The last byte is random in every kind of UUID that writers use; a bad choice costs speed only.
        self.shards[usize::from(id[15]) % SHARDS].insert(id)
    }

    /// Whether an identifier is there.
    #[must_use]
    pub fn contains(&self, id: [u8; 16]) -> bool {
        self.shards[usize::from(id[15]) % SHARDS].contains(&id)
    }
}
