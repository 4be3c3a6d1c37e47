//! Sync markers derived from names and inputs, so that a repeated run writes identical files, and
//! the encoder generation.

use crate::digest::Digest;
use sha2::{Digest as _, Sha256};

/// The generation of the encoders. Raise it with any change after which the same inputs produce
/// different bytes.
///
/// The generation is fixed together with the content to be published, so that a newer program never
/// completes a batch that an older one began with different bytes.
pub const ENCODER_GENERATION: u32 = 1;

/// Derives a container file's sync marker: the first 16 bytes of a SHA-256 over the generation, the
/// object's name and the digests of the inputs that determine the content. The lengths of all
/// variable parts are hashed as well.
///
/// The marker is among the first bytes of the file, so it cannot be derived from the content.
/// ENPA's markers are random, so readers accept any value. Equal inputs yield an equal file.
#[must_use]
pub fn sync_marker(generation: u32, object: &str, inputs: &[Digest]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"tallybox sync marker");
    hash.update(generation.to_be_bytes());
    hash.update((object.len() as u64).to_be_bytes());
    hash.update(object.as_bytes());
    hash.update((inputs.len() as u64).to_be_bytes());
    for input in inputs {
        hash.update(input.0);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut marker = [0; 16];
    marker.copy_from_slice(&digest[..16]);
    marker
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_follows_from_each_of_its_inputs() {
        let base = sync_marker(1, "a", &[Digest::empty()]);
        assert_eq!(base, sync_marker(1, "a", &[Digest::empty()]));
        assert_ne!(base, sync_marker(2, "a", &[Digest::empty()]));
        assert_ne!(base, sync_marker(1, "b", &[Digest::empty()]));
        assert_ne!(base, sync_marker(1, "a", &[]));
        assert_ne!(base, sync_marker(1, "a", &[Digest::sha256(b"x")]));
    }
}
