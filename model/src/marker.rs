//! What makes our files deterministic: sync markers that follow from names and inputs, and the encoder generation.

use crate::digest::Digest;
use sha2::{Digest as _, Sha256};

/// The generation of our encoders. It is raised by any change after which the same inputs give other bytes.
///
/// It is fixed together with what will be published, so that a run by a newer program never publishes the
/// second half of what an older one began.
pub const ENCODER_GENERATION: u32 = 1;

/// Derives a container file's sync marker: the first 16 bytes of a SHA-256 over the generation, the object's name
/// and the digests of the inputs that determine the content, each with its length.
///
/// The marker stands in the file's first bytes, so it cannot follow from the content; ENPA's is random, so any
/// value is good there. With inputs the same, a rerun writes the same file.
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
        assert_ne!(base, sync_marker(1, "a", &[Digest::of(b"x")]));
    }
}
