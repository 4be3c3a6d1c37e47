//! Makes a report from bits: splits them with a proof, and seals each share to its processor.

use rand::CryptoRng;
use tallybox_crypto::ecies;
use tallybox_crypto::keys::PacketPublicKey;
use tallybox_crypto::prio2::{PROCESSORS, Prio2, Randomness, Shares};
use tallybox_model::id::{KeyId, PacketId};
use uuid::Builder;

use crate::error::ClientError;

/// The public key of a processor, to which shares are sealed.
#[derive(Debug, Clone)]
pub struct ProcessorKey {
    /// The id of the key in the processor's manifest; sent with each share as a hint.
    pub key_id: Option<KeyId>,
    /// The key.
    pub public: PacketPublicKey,
}

/// Makes reports for one pair of processors.
#[derive(Debug, Clone)]
pub struct Client {
    processors: Vec<ProcessorKey>,
}

/// A report: one encrypted share per processor, under one id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The random id (UUID version 4) that connects the shares at the processors.
    pub id: PacketId,
    /// The shares, in the order of the processors' indexes.
    pub shares: Vec<EncryptedShare>,
}

/// One processor's part of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedShare {
    /// The sealed share (ECIES): an uncompressed P-256 point of 65 bytes, the ciphertext, and a tag
    /// of 16 bytes.
    pub payload: Vec<u8>,
    /// The id of the processor's key to which the share is sealed.
    pub key_id: Option<KeyId>,
}

impl Client {
    /// Creates a client for these processors, in the order of their indexes: the health authority's
    /// first.
    ///
    /// # Errors
    /// [`ClientError::ProcessorCount`] unless there are two, the number that Prio2 supports.
    pub fn new(processors: Vec<ProcessorKey>) -> Result<Self, ClientError> {
        if processors.len() != PROCESSORS {
            return Err(ClientError::ProcessorCount {
                found: processors.len(),
                expected: PROCESSORS,
            });
        }
        Ok(Self { processors })
    }

    /// Makes the report of one vector of bins.
    ///
    /// Sealing is randomised: the same bits give a different report each time, unless `rng` repeats
    /// itself. Real clients use the system's generator.
    ///
    /// # Errors
    /// [`ClientError::Split`] for no bins or too many, [`ClientError::Seal`] if a share cannot be
    /// sealed.
    pub fn report(
        &self,
        bits: &[bool],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Report, ClientError> {
        self.report_with(&Prio2::new(bits.len())?, bits, rng)
    }

    /// Does the same as [`Client::report`] with prepared tables that depend only on the number of
    /// bins; for many reports.
    ///
    /// # Errors
    /// As [`Client::report`]; `prio2` must have the same number of bins as `bits`.
    pub fn report_with(
        &self,
        prio2: &Prio2,
        bits: &[bool],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Report, ClientError> {
        let id = draw_id(rng);
        let shares = prio2.split(bits, &Randomness::draw(rng))?;
        self.seal(id, &shares, rng)
    }

    /// Seals each share to its processor.
    pub(crate) fn seal(
        &self,
        id: PacketId,
        shares: &Shares,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Report, ClientError> {
        self.seal_payloads(id, [&shares.first, &shares.second], rng)
    }

    /// Seals arbitrary bytes, one payload per processor.
    pub(crate) fn seal_payloads(
        &self,
        id: PacketId,
        payloads: [&[u8]; PROCESSORS],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Report, ClientError> {
        let mut shares = Vec::with_capacity(PROCESSORS);
        for (index, (processor, payload)) in self.processors.iter().zip(payloads).enumerate() {
            let payload = ecies::seal(&processor.public, payload, rng).map_err(|source| {
                ClientError::Seal {
                    processor: index,
                    source,
                }
            })?;
            shares.push(EncryptedShare {
                payload,
                key_id: processor.key_id.clone(),
            });
        }
        Ok(Report { id, shares })
    }
}

/// Draws a random identifier (UUID version 4).
pub(crate) fn draw_id(rng: &mut (impl CryptoRng + ?Sized)) -> PacketId {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    PacketId(Builder::from_random_bytes(bytes).into_uuid())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::test_verifier;

    fn client() -> Client {
        Client::new(test_verifier::processors()).unwrap()
    }

    fn report(bits: &[bool], seed: u64) -> Report {
        client()
            .report(bits, &mut ChaCha20Rng::seed_from_u64(seed))
            .unwrap()
    }

    fn sum(bins: usize, report: &Report) -> Option<Vec<u32>> {
        let [first, second] = test_verifier::keys();
        let first =
            test_verifier::first_share(bins, &test_verifier::open(&first, &report.shares[0])?)?;
        let second =
            test_verifier::second_share(&test_verifier::open(&second, &report.shares[1])?)?;
        test_verifier::verify_and_add(bins, [&first, &second])
    }

    /// Sizes in bytes, as published for metrics with these numbers of bins.
    #[test]
    fn a_report_has_the_published_size() {
        for (bins, size) in [
            (5, 145),
            (6, 149),
            (9, 193),
            (15, 217),
            (16, 285),
            (20, 301),
            (48, 541),
            (1344, 13_661),
        ] {
            let report = report(&vec![true; bins], 1);
            assert_eq!(
                report
                    .shares
                    .iter()
                    .map(|share| share.payload.len())
                    .collect::<Vec<_>>(),
                [size, 113]
            );
        }
    }

    #[test]
    fn a_report_says_for_whom_it_is() {
        let report = report(&[true, false], 2);
        let ids: Vec<_> = report
            .shares
            .iter()
            .map(|share| share.key_id.as_deref())
            .collect();
        assert_eq!(ids, [Some("pha-1"), Some("facilitator-1")]);
        assert_eq!(report.id.0.get_version_num(), 4);
    }

    #[test]
    fn randomness_decides_and_nothing_else() {
        let bits = [true, false, true];
        assert_eq!(report(&bits, 3), report(&bits, 3));
        let (first, second) = (report(&bits, 3), report(&bits, 4));
        assert_ne!(first.id, second.id);
        assert!(
            first
                .shares
                .iter()
                .zip(&second.shares)
                .all(|(first, second)| first.payload != second.payload)
        );
    }

    #[test]
    fn refuses_what_prio2_cannot_do() {
        let single = test_verifier::processors().into_iter().take(1).collect();
        let error = Client::new(single).unwrap_err();
        assert_eq!(error.to_string(), "1 processor keys given, prio2 needs 2");
        let empty = client().report(&[], &mut ChaCha20Rng::seed_from_u64(5));
        assert!(matches!(empty, Err(ClientError::Split(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn shares_open_and_add_to_the_bits(bits in prop::collection::vec(any::<bool>(), 1..70), seed: u64) {
            let sum = sum(bits.len(), &report(&bits, seed)).unwrap();
            prop_assert_eq!(sum, bits.iter().map(|bit| u32::from(*bit)).collect::<Vec<_>>());
        }
    }
}
