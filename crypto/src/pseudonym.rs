//! The values that an ingestor derives from a secret instead of drawing them: batch ids, packet
//! ids, the order of packets and evaluation points.
//!
//! A repeated run has to write the same bytes, so no value is drawn at random. All values are
//! derived from one secret and look random without it. In particular, a batch does not reveal which
//! report became which packet.

use std::fmt;

use aws_lc_rs::hmac;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::keys::SealingKey;
use crate::prepared::FileKey;
use crate::prio2::{Point, Prio2};

/// Domain separation for evaluation points.
const POINTS: &[u8] = b"tallybox evaluation point v1";
/// Domain separation for batch ids.
const BATCHES: &[u8] = b"tallybox batch id v1";
/// Domain separation for the ids and the order of packets.
const PACKETS: &[u8] = b"tallybox packet id v1";
/// Domain separation for the key of the spool's records.
const RECORDS: &[u8] = b"tallybox spool record key v1";
/// Number of candidates for a point in one block of output. In nearly all cases, the first
/// candidate is used.
const CANDIDATES: usize = 8;

/// An ingestor's secret of 32 random bytes, from which batch ids, packet ids and evaluation points
/// are derived.
#[derive(Clone)]
pub struct IngestorSecret {
    key: SealingKey,
    packets: hmac::Key,
}

/// The values derived for one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pseudonym {
    /// The bytes of the report's packet id, in the form of a random UUID (version 4).
    pub packet: [u8; 16],
    /// The sort key of the packet. The order is a shuffle to anyone who does not know the secret.
    pub order: [u8; 16],
}

impl IngestorSecret {
    /// Parses base64 of exactly 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        SealingKey::parse(text).map(Self::from_key)
    }

    /// Generates a new secret.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self::from_key(SealingKey::generate(rng))
    }

    fn from_key(key: SealingKey) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        key.expand(&[PACKETS], bytes.as_mut_slice());
        let packets = hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice());
        Self { key, packets }
    }

    /// Encodes the secret as base64 of the 32 bytes.
    pub fn to_base64(&self) -> Zeroizing<String> {
        self.key.to_base64()
    }

    /// Returns eight hex digits that identify this secret in plans and object names. They reveal
    /// nothing about it.
    pub fn id(&self) -> String {
        self.key.id()
    }

    /// Derives the bytes of a batch's id, in the form of a random UUID, from a context that is
    /// unique to the batch. The length of each part is included, so different contexts never have
    /// the same encoding.
    pub fn batch(&self, context: &[&[u8]]) -> [u8; 16] {
        let mut info = BATCHES.to_vec();
        for part in context {
            info.extend((part.len() as u64).to_be_bytes());
            info.extend_from_slice(part);
        }
        let mut id = [0; 16];
        self.key.expand(&[&info], &mut id);
        as_version_4(id)
    }

    /// Derives the packet id and order of the report with this digest. They do not depend on the
    /// window and are the same for every repetition.
    pub fn packet(&self, report: &[u8]) -> Pseudonym {
        let tag = hmac::sign(&self.packets, report);
        let (mut packet, mut order) = ([0; 16], [0; 16]);
        packet.copy_from_slice(&tag.as_ref()[..16]);
        order.copy_from_slice(&tag.as_ref()[16..]);
        let packet = as_version_4(packet);
        Pseudonym { packet, order }
    }

    /// Derives the single evaluation point of all packets encrypted to these two keys, given by
    /// their identifiers, the first processor's first. The point is uniform among the points that
    /// are safe for any number of bins.
    pub fn point(&self, key_ids: [&str; 2]) -> i64 {
        let [first, second] = key_ids;
        let lengths = [first.len() as u64, second.len() as u64].map(u64::to_be_bytes);
        self.draw(&[
            b"keys",
            &lengths[0],
            first.as_bytes(),
            &lengths[1],
            second.as_bytes(),
        ])
    }

    /// Derives a separate point for the packet with this id, like ENPA's ingestors. Used for
    /// processors that are configured for it.
    pub fn point_of_packet(&self, id: &[u8; 16]) -> i64 {
        self.draw(&[b"packet", id])
    }

    /// Derives the key of a sealed file of the ingestor. See [`FileKey::derive`].
    pub fn file_key(&self, context: &[&[u8]]) -> FileKey {
        FileKey::derive(&self.key, context)
    }

    /// Derives the bytes of the key that authenticates the objects in the ingestor's spool.
    pub fn record_key(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.key.expand(&[RECORDS], bytes.as_mut_slice());
        bytes
    }

    /// Returns the first safe element of a keyed sequence.
    fn draw(&self, context: &[&[u8]]) -> i64 {
        let info: Vec<&[u8]> = [&[POINTS], context].concat();
        for block in 0_u64.. {
            let counter = block.to_be_bytes();
            let mut output = [0; 4 * CANDIDATES];
            self.key
                .expand(&[info.as_slice(), &[&counter]].concat(), &mut output);
            let (words, _) = output.as_chunks::<4>();
            let mut candidates = words
                .iter()
                .map(|word| i64::from(u32::from_be_bytes(*word)));
            if let Some(point) = candidates.find(|candidate| is_safe(*candidate)) {
                return point;
            }
        }
        unreachable!("one candidate in 4,000 is not safe")
    }
}

/// Returns whether a candidate is below the modulus and not a root of unity of the largest order
/// for any number of bins.
fn is_safe(candidate: i64) -> bool {
    Prio2::new(1)
        .is_ok_and(|prio2| Point::new(candidate, &prio2).is_ok_and(|point| point.is_universal()))
}

/// Sets version and variant of a UUID (RFC 9562 section 5.4).
fn as_version_4(mut id: [u8; 16]) -> [u8; 16] {
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

impl fmt::Debug for IngestorSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngestorSecret")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn secret(seed: u64) -> IngestorSecret {
        IngestorSecret::generate(&mut ChaCha20Rng::seed_from_u64(seed))
    }

    #[test]
    fn a_point_follows_from_secret_and_both_keys() {
        let point = secret(1).point(["a", "b"]);
        assert_eq!(point, secret(1).point(["a", "b"]));
        for other in [
            secret(2).point(["a", "b"]),
            secret(1).point(["b", "a"]),
            secret(1).point(["ab", ""]),
            secret(1).point_of_packet(&[0; 16]),
        ] {
            assert_ne!(point, other);
        }
    }

    #[test]
    fn points_are_safe_at_any_number_of_bins() {
        let (secret, largest) = (secret(3), Prio2::new(Prio2::MAX_BINS).unwrap());
        for packet in 0_u128..2000 {
            let point = secret.point_of_packet(&packet.to_be_bytes());
            assert!(Point::new(point, &largest).is_ok());
        }
    }

    #[test]
    fn unsafe_candidates_are_passed_over() {
        for candidate in [-1, 1, i64::from(crate::prio2::MODULUS), 1 << 40] {
            assert!(!is_safe(candidate), "{candidate}");
        }
        assert!(is_safe(12_345));
    }

    #[test]
    fn ids_are_random_uuids_that_follow_from_secret_and_content() {
        let report = secret(1).packet(b"report");
        assert_eq!(report, secret(1).packet(b"report"));
        assert_ne!(report, secret(1).packet(b"other"));
        assert_ne!(report, secret(2).packet(b"report"));
        let batch = secret(1).batch(&[b"a", b"bc"]);
        assert_ne!(batch, secret(1).batch(&[b"ab", b"c"]));
        assert_ne!(batch, secret(2).batch(&[b"a", b"bc"]));
        for id in [report.packet, batch] {
            assert_eq!((id[6] >> 4, id[8] >> 6), (4, 2));
        }
    }

    #[test]
    fn the_secret_is_read_as_written_and_not_shown() {
        let secret = secret(4);
        let read = IngestorSecret::parse(&secret.to_base64()).unwrap();
        assert_eq!(
            (read.id(), read.packet(b"x")),
            (secret.id(), secret.packet(b"x"))
        );
        let shown = format!("{secret:?}");
        assert!(
            !shown.contains(secret.to_base64().as_str()) && shown.contains(&secret.id()),
            "{shown}"
        );
        assert!(IngestorSecret::parse("c2hvcnQ=").is_err());
    }
}
