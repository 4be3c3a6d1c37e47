//! Known answers of the format, and what the parts promise each other.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::error::{PointError, ShareError};
use sha2::{Digest as _, Sha256};

fn seed_counting() -> [u8; 32] {
    std::array::from_fn(|i| i as u8)
}

fn prg_digest(seed: [u8; 32]) -> (Vec<u32>, String) {
    let mut words = Vec::new();
    prg::expand(&seed, 100_000, &mut words);
    let mut hash = Sha256::new();
    words.iter().for_each(|word| hash.update(word.to_le_bytes()));
    words.truncate(5);
    (
        words,
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
    )
}

#[test]
fn generator_known_answers() {
    let (words, digest) = prg_digest(seed_counting());
    assert_eq!(
        words,
        [
            1_961_885_191,
            1_845_745_121,
            300_813_968,
            2_475_857_038,
            80_069_266
        ]
    );
    assert_eq!(
        digest,
        "46dcde42eba259d0fa6d6d994e86d110b0e60a5cf5c0bcb71d488ab18b084ce2"
    );
    // All ones: only the low 64 bits of the counter wrap.
    let (words, digest) = prg_digest([0xff; 32]);
    assert_eq!(
        words[..4],
        [2_082_586_556, 818_905_266, 1_383_092_658, 2_042_182_169]
    );
    assert_eq!(
        digest,
        "8818836aa2ebbfbfeb5fffafb3a6a43e2a6b1a061f50b761fd78680fad474170"
    );
}

#[test]
fn proof_known_answer() {
    let prio2 = Prio2::new(3).unwrap();
    assert_eq!((prio2.domain(), prio2.proof_length()), (4, 10));
    let randomness = Randomness {
        seed: seed_counting(),
        f0: 123_456_789,
        g0: 987_654_321,
    };
    let shares = prio2.split(&[true, false, true], &randomness).unwrap();
    let first: String = shares.first.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        first,
        "fb01008b202aec9172f101ee8838b9731fa6183684fa5bba65a609ade9e3d10417063aff4674e628"
    );
    assert_eq!(shares.second, seed_counting());

    let (mut first, mut second) = (Vec::new(), Vec::new());
    prio2.decode_share(0, &shares.first, &mut first).unwrap();
    prio2.decode_share(1, &shares.second, &mut second).unwrap();
    let proof: Vec<u32> = first
        .iter()
        .zip(&second)
        .map(|(&a, &b)| field::add(a, b))
        .collect();
    let expected = [
        1,
        0,
        1,
        123_456_789,
        987_654_321,
        3_168_667_484,
        261_562_282,
        229_694_836,
        1_719_805_920,
        3_571_407_227,
    ];
    assert_eq!(proof, expected);

    let evaluator = prio2.evaluator(Point::new(998_314_904, &prio2).unwrap());
    let (ours, theirs) = (evaluator.message(0, &first), evaluator.message(1, &second));
    assert_eq!(
        ours,
        Message {
            f: 1_734_168_886,
            g: 1_025_856_444,
            h: 519_377_261
        }
    );
    assert_eq!(
        theirs,
        Message {
            f: 1_287_769_880,
            g: 3_017_935_293,
            h: 1_518_236_505
        }
    );
    assert!(ours.is_valid_with(&theirs));
    assert!(Message::is_valid(&[theirs, ours]));
}
