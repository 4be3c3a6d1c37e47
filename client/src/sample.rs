//! The plain bits of ENPA's sample batches, for comparison with ENPA's files.

use sha2::{Digest, Sha512_256};
use tallybox_model::id::BatchId;

/// Largest number of bins of a sample: the number of bits of one digest.
pub const SAMPLE_BINS: usize = 256;

/// Returns the bits of packet `index` (from 0) of the sample batch `batch`: the first `bins` bits,
/// most significant first, of SHA-512/256 over the batch's UUID and the index as 8 big-endian
/// bytes. `None` if `bins` is above [`SAMPLE_BINS`].
#[must_use]
pub fn sample_bits(batch: BatchId, index: u64, bins: usize) -> Option<Vec<bool>> {
    if bins > SAMPLE_BINS {
        return None;
    }
    let digest = Sha512_256::new()
        .chain_update(batch.as_bytes())
        .chain_update(index.to_be_bytes())
        .finalize();
    Some(
        (0..bins)
            .map(|bin| digest[bin / 8] >> (7 - bin % 8) & 1 == 1)
            .collect(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn batch(text: &str) -> BatchId {
        text.parse().unwrap()
    }

    #[test]
    fn known_answer() {
        let bits = sample_bits(batch("00112233-4455-6677-8899-aabbccddeeff"), 0, 16).unwrap();
        let expected = [1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1];
        assert_eq!(bits, expected.map(|bit| bit == 1));
        assert_eq!(
            sample_bits(batch("00112233-4455-6677-8899-aabbccddeeff"), 0, 257),
            None
        );
    }

    /// The sums of two batches that ENPA's software wrote: 20 packets of 2 bins, and 100 of 8.
    #[test]
    fn sums_of_the_predecessors_batches() {
        for (id, packets, expected) in [
            ("00000002-0001-4000-8000-0000000007d1", 20, vec![10, 10]),
            (
                "00000009-0001-4000-8000-000000002329",
                100,
                vec![46, 47, 49, 53, 53, 39, 50, 45],
            ),
        ] {
            let mut sums = vec![0; expected.len()];
            for index in 0..packets {
                for (sum, bit) in sums
                    .iter_mut()
                    .zip(sample_bits(batch(id), index, expected.len()).unwrap())
                {
                    *sum += u32::from(bit);
                }
            }
            assert_eq!(sums, expected);
        }
    }
}
