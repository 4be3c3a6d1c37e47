//! The digests by which repeated reports are recognised.

use crate::header::BatchParameters;
use sha2::{Digest as _, Sha256};

/// The digests of a report, each the first 16 bytes of a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportDigest {
    /// Digest of everything stored of the report. An upload with an equal digest is the same
    /// report.
    pub report: [u8; 16],
    /// Digest of each processor's encrypted share. A ciphertext is never counted twice, whatever
    /// its id or metric.
    pub ciphertexts: [[u8; 16]; 2],
}

/// Computes the digest of an encrypted share.
#[must_use]
pub fn ciphertext_digest(payload: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"tallybox ciphertext v1");
    hash.update(payload);
    first_half(hash)
}

/// Computes the digests of a report, given its id in canonical spelling.
#[must_use]
pub fn report_digest(
    id: &str,
    parameters: &BatchParameters,
    key_ids: [&str; 2],
    payloads: [&[u8]; 2],
) -> ReportDigest {
    let ciphertexts = payloads.map(ciphertext_digest);
    let mut hash = Sha256::new();
    hash.update(b"tallybox report v1");
    for part in [
        id.as_bytes(),
        &parameters.encode(),
        key_ids[0].as_bytes(),
        key_ids[1].as_bytes(),
    ] {
        // The lengths make the encoding injective. The two digests below have a fixed length.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(ciphertexts[0]);
    hash.update(ciphertexts[1]);
    ReportDigest {
        report: first_half(hash),
        ciphertexts,
    }
}

fn first_half(hash: Sha256) -> [u8; 16] {
    let whole: [u8; 32] = hash.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::PRIME;

    fn parameters(name: &str) -> BatchParameters {
        BatchParameters {
            name: name.to_owned(),
            bins: 2,
            epsilon: 8.0,
            prime: PRIME,
            number_of_servers: 2,
            hamming_weight: None,
        }
    }

    #[test]
    fn every_part_counts() {
        let base = report_digest("id", &parameters("a"), ["k", "l"], [b"x", b"y"]);
        assert_eq!(
            base,
            report_digest("id", &parameters("a"), ["k", "l"], [b"x", b"y"])
        );
        for other in [
            report_digest("ie", &parameters("a"), ["k", "l"], [b"x", b"y"]),
            report_digest("id", &parameters("b"), ["k", "l"], [b"x", b"y"]),
            report_digest("id", &parameters("a"), ["kl", ""], [b"x", b"y"]),
            report_digest("id", &parameters("a"), ["k", "l"], [b"z", b"y"]),
            report_digest("id", &parameters("a"), ["k", "l"], [b"y", b"x"]),
        ] {
            assert_ne!(base.report, other.report);
        }
        let moved = report_digest("other", &parameters("b"), ["k", "l"], [b"x", b"y"]);
        assert_eq!(base.ciphertexts, moved.ciphertexts);
    }
}
