//! The evaluation point that the ingestor gives to packets: a keyed function, never a fresh draw.
//!
//! All packets that are sealed to one pair of packet keys get one point, in every metric, window and rerun: whoever
//! saw a packet evaluated at two points would learn something about its bits. A point is a secret of ingestor and
//! processors, since a client that knew it could forge a proof.

use std::fmt;

use hkdf::Hkdf;
use rand::CryptoRng;
use sha2::Sha256;
use tallybox_crypto::prio2::{Point, Prio2};
use tallybox_model::id::PacketId;
use zeroize::ZeroizeOnDrop;

/// Separates this use of the secret from any other.
const DOMAIN: &[u8] = b"tallybox evaluation point v1";
/// Candidates that one block of output holds; hardly ever is the first one not taken.
const CANDIDATES: usize = 8;

/// The secret that all points of an ingestor follow from.
#[derive(ZeroizeOnDrop)]
pub struct PointSecret {
    bytes: [u8; 32],
}

impl PointSecret {
    /// Draws a new secret.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut secret = Self { bytes: [0; 32] };
        rng.fill_bytes(&mut secret.bytes);
        secret
    }

    /// The one point of all packets sealed to these two keys, named by their identifiers, the first processor's first.
    #[must_use]
    pub fn of_keys(&self, key_ids: [&str; 2]) -> i64 {
        let [first, second] = key_ids;
        let lengths = [first.len() as u64, second.len() as u64].map(u64::to_be_bytes);
        self.draw(&[b"keys", &lengths[0], first.as_bytes(), &lengths[1], second.as_bytes()])
    }

    /// A point for this packet alone, as ENPA's ingestors draw them; only for processors that are configured for it.
    #[must_use]
    pub fn of_packet(&self, id: PacketId) -> i64 {
        self.draw(&[b"packet", id.as_bytes()])
    }

    /// A point uniform among those that are safe at any number of bins: the first good one of a keyed sequence.
    fn draw(&self, context: &[&[u8]]) -> i64 {
        for block in 0_u64.. {
            let mut output = [0; 4 * CANDIDATES];
            let counter = block.to_be_bytes();
            let info: Vec<&[u8]> = [&[DOMAIN, &counter], context].concat();
            let expanded = Hkdf::<Sha256>::new(None, &self.bytes).expand_multi_info(&info, &mut output);
            debug_assert!(expanded.is_ok(), "32 bytes are far below what HKDF gives");
            let (words, _) = output.as_chunks::<4>();
            let mut candidates = words.iter().map(|word| i64::from(u32::from_be_bytes(*word)));
            if let Some(point) = candidates.find(|candidate| is_safe(*candidate)) {
                return point;
            }
        }
        unreachable!("one candidate in 4,000 is not safe")
    }
}

/// Whether it is below the modulus and no root of unity of the largest order that any number of bins leads to.
fn is_safe(candidate: i64) -> bool {
    Prio2::new(1).is_ok_and(|prio2| Point::new(candidate, &prio2).is_ok_and(|point| point.is_universal()))
}

impl fmt::Debug for PointSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PointSecret").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn secret(seed: u64) -> PointSecret {
        PointSecret::generate(&mut ChaCha20Rng::seed_from_u64(seed))
    }

    #[test]
    fn a_point_follows_from_secret_and_both_keys() {
        let point = secret(1).of_keys(["a", "b"]);
        assert_eq!(point, secret(1).of_keys(["a", "b"]));
        for other in [
            secret(2).of_keys(["a", "b"]),
            secret(1).of_keys(["b", "a"]),
            secret(1).of_keys(["ab", ""]),
            secret(1).of_packet(PacketId::from_bytes([0; 16])),
        ] {
            assert_ne!(point, other);
        }
    }

    #[test]
    fn points_are_safe_at_any_number_of_bins() {
        let (secret, largest) = (secret(3), Prio2::new(Prio2::MAX_BINS).unwrap());
        for packet in 0_u128..2000 {
            let point = secret.of_packet(PacketId::from_bytes(packet.to_be_bytes()));
            assert!(Point::new(point, &largest).is_ok());
        }
    }

    #[test]
    fn unsafe_candidates_are_passed_over() {
        for candidate in [-1, 1, i64::from(tallybox_crypto::prio2::MODULUS), 1 << 40] {
            assert!(!is_safe(candidate), "{candidate}");
        }
        assert!(is_safe(12_345));
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert_eq!(format!("{:?}", secret(4)), "PointSecret { .. }");
    }
}
