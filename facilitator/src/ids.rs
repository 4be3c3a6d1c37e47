//! A set of 16-byte identifiers that grows without a large copy.

use std::collections::HashSet;

/// The number of shards. Each shard grows separately, so that growth never needs twice the memory
/// of the whole set.
const SHARDS: usize = 64;

/// A set of identifiers. Attackers may choose them, because the hash has a random key.
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
    /// Adds an identifier. Returns `false` if the set already contained it.
    pub fn insert(&mut self, id: [u8; 16]) -> bool {
        // The last byte is random in every kind of UUID that writers use. Badly chosen identifiers
        // only cost speed.
        self.shards[usize::from(id[15]) % SHARDS].insert(id)
    }

    /// Returns whether the set contains an identifier.
    #[must_use]
    pub fn contains(&self, id: [u8; 16]) -> bool {
        self.shards[usize::from(id[15]) % SHARDS].contains(&id)
    }
}
