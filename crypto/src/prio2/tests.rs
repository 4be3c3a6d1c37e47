//! Known answers of the format, and properties of the modules together.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::error::{PointError, ShareError};
use crate::scheme::{Scheme, Transition};

fn seed_counting() -> [u8; 32] {
    std::array::from_fn(|i| i as u8)
}

fn prg_digest(seed: [u8; 32]) -> (Vec<u32>, String) {
    let mut words = Vec::new();
    prg::expand(&seed, 100_000, &mut words);
    let mut hash = Sha256::new();
    words
        .iter()
        .for_each(|word| hash.update(word.to_le_bytes()));
    words.truncate(5);
    (
        words,
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
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
    // A counter of all ones: only its low 64 bits wrap.
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
    let first: String = shares
        .first
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
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
    assert!(!ours.is_valid_with(&ours));
}

#[test]
fn dimensions_are_bounded() {
    assert!(Prio2::new(0).is_err());
    assert!(Prio2::new(Prio2::MAX_BINS + 1).is_err());
    assert_eq!(Prio2::new(Prio2::MAX_BINS).unwrap().domain(), 1 << 19);
    assert_eq!(
        [1, 2, 3, 4, 255, 256].map(|bins| Prio2::new(bins).unwrap().domain()),
        [2, 4, 4, 8, 256, 512]
    );
    let prio2 = Prio2::new(8).unwrap();
    assert_eq!(
        (prio2.share_length(0), prio2.share_length(1)),
        (Ok(4 * 27), Ok(32))
    );
    assert!(prio2.share_length(2).is_err());
}

#[test]
fn points_that_would_tell_are_refused() {
    let prio2 = Prio2::new(8).unwrap();
    for good in [998_314_904, 0, i64::from(MODULUS) - 2] {
        let point = Point::new(good, &prio2).unwrap();
        assert!(point.is_universal());
        assert_eq!(i64::from(point.value()), good);
    }
    for out in [
        -1,
        i64::MIN,
        MODULUS.into(),
        (1 << 32) - 1,
        1 << 32,
        i64::MAX,
    ] {
        assert_eq!(Point::new(out, &prio2), Err(PointError::OutOfRange));
    }
    // f and g have 16 interpolation points, so the order is 32.
    for root in field::roots(32) {
        assert_eq!(
            Point::new(root.into(), &prio2),
            Err(PointError::RootOfUnity)
        );
    }
    let other = Point::new(field::root(64).into(), &prio2).unwrap();
    assert!(!other.is_universal());
    // The point is safe for fewer bins. No message is computed where it is not safe.
    let _ = Prio2::new(2).unwrap().evaluator(other);
    let more = Prio2::new(16).unwrap();
    assert!(std::panic::catch_unwind(|| more.evaluator(other)).is_err());
    let universal = Point::new(998_314_904, &prio2).unwrap();
    let _ = more.evaluator(universal);
    // At such a point, a message would be the client's bit.
    assert_eq!(Point::new(1, &prio2), Err(PointError::RootOfUnity));
}

#[test]
fn shares_of_another_shape_are_refused() {
    let prio2 = Prio2::new(3).unwrap();
    let mut out = vec![1, 2, 3];
    let good = [0u8; 40];
    prio2.decode_share(0, &good, &mut out).unwrap();
    assert_eq!(out, [0; 10]);
    for found in [0, 39, 41, 36, 44] {
        let error = prio2
            .decode_share(0, &vec![0; found], &mut out)
            .unwrap_err();
        assert_eq!(
            error,
            ShareError::Length {
                expected: 40,
                found
            }
        );
        assert!(out.is_empty());
    }
    for found in [0, 31, 33] {
        let error = prio2
            .decode_share(1, &vec![0; found], &mut out)
            .unwrap_err();
        assert_eq!(
            error,
            ShareError::Length {
                expected: 32,
                found
            }
        );
    }
    for at in 0..10 {
        let mut bad = good;
        bad[4 * at..4 * at + 4].copy_from_slice(&MODULUS.to_le_bytes());
        assert_eq!(
            prio2.decode_share(0, &bad, &mut out),
            Err(ShareError::Element)
        );
        assert!(out.is_empty());
        bad[4 * at..4 * at + 4].copy_from_slice(&(MODULUS - 1).to_le_bytes());
        assert_eq!(prio2.decode_share(0, &bad, &mut out), Ok(()));
    }
    // Two elements out of range do not cancel each other.
    let mut bad = good;
    bad[..8].fill(0xff);
    assert_eq!(
        prio2.decode_share(0, &bad, &mut out),
        Err(ShareError::Element)
    );
    assert_eq!(
        prio2.decode_share(2, &good, &mut out),
        Err(ShareError::Processor { index: 2 })
    );
}

#[test]
fn data_is_the_front_of_the_share() {
    let prio2 = Prio2::new(300).unwrap();
    let (mut data, mut share) = (Vec::new(), Vec::new());
    for seed in 0..40 {
        // Long enough that some words are skipped.
        prio2.decode_data(1, &[seed; 32], &mut data).unwrap();
        prio2.decode_share(1, &[seed; 32], &mut share).unwrap();
        assert_eq!((data.len(), share.len()), (300, 300 + 3 + 512));
        assert_eq!(data, share[..300]);
    }
    // For the first processor, exactly the data elements have to be stored.
    for length in [0, 4 * 299, 4 * 301, 4 * prio2.proof_length()] {
        let error = prio2
            .decode_data(0, &vec![0; length], &mut data)
            .unwrap_err();
        assert_eq!(
            error,
            ShareError::Length {
                expected: 1200,
                found: length
            }
        );
    }
    prio2.decode_data(0, &[1; 1200], &mut data).unwrap();
    assert_eq!(data, [0x0101_0101; 300]);
}

#[test]
fn splitting_checks_its_input() {
    let prio2 = Prio2::new(3).unwrap();
    let randomness = |f0, g0| Randomness {
        seed: [0; 32],
        f0,
        g0,
    };
    let error = |values: &[u32], randomness| prio2.split_values(values, &randomness).unwrap_err();
    assert_eq!(
        error(&[1; 2], randomness(1, 1)),
        Prio2Error::Dimension { bins: 3, found: 2 }
    );
    assert_eq!(
        error(&[1, MODULUS, 0], randomness(1, 1)),
        Prio2Error::Element { index: 1 }
    );
    assert_eq!(
        error(&[1; 3], randomness(1, MODULUS)),
        Prio2Error::Element { index: 4 }
    );
}

#[test]
fn values_other_than_bits_fail() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    for (bins, bad) in [
        (1, 2),
        (8, 2),
        (8, MODULUS - 1),
        (40, 1000),
        (250, 2),
        (255, 3),
        (256, MODULUS - 1),
    ] {
        let prio2 = Prio2::new(bins).unwrap();
        let evaluator = prio2.evaluator(Point::new(998_314_904, &prio2).unwrap());
        for at in [0, bins / 2, bins - 1] {
            let mut values = vec![1; bins];
            values[at] = bad;
            let shares = prio2
                .split_values(&values, &Randomness::draw(&mut rng))
                .unwrap();
            assert!(
                !valid(&prio2, &evaluator, &shares),
                "{bins} bins, value {at} is {bad}"
            );
            values[at] = 0;
            let shares = prio2
                .split_values(&values, &Randomness::draw(&mut rng))
                .unwrap();
            assert!(valid(&prio2, &evaluator, &shares));
        }
    }
}

#[test]
fn a_changed_share_fails() {
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let prio2 = Prio2::new(5).unwrap();
    let evaluator = prio2.evaluator(Point::new(998_314_904, &prio2).unwrap());
    for at in 0..prio2.proof_length() {
        let mut shares = prio2
            .split(
                &[true, false, true, true, false],
                &Randomness::draw(&mut rng),
            )
            .unwrap();
        shares.first[4 * at] ^= 1;
        assert!(!valid(&prio2, &evaluator, &shares), "element {at}");
    }
}

fn valid(prio2: &Prio2, evaluator: &Evaluator, shares: &Shares) -> bool {
    let mut share = Vec::new();
    let messages = [shares.first.as_slice(), &shares.second].map(|plaintext| plaintext.to_vec());
    Message::is_valid(&[0, 1].map(|role| {
        prio2
            .decode_share(role, &messages[role], &mut share)
            .unwrap();
        evaluator.message(role, &share)
    }))
}

#[test]
fn a_moved_evaluator_is_a_new_one() {
    let mut share = Vec::new();
    let mut moved = None;
    for (bins, r) in [(8, 5), (250, 77), (8, 0), (40, 998_314_904)] {
        let prio2 = Prio2::new(bins).unwrap();
        let point = Point::new(r, &prio2).unwrap();
        let fresh = prio2.evaluator(point);
        let moved = moved.get_or_insert_with(|| fresh.clone());
        moved.move_to(&prio2, point);
        prio2.decode_share(1, &[3; 32], &mut share).unwrap();
        assert_eq!(moved.message(0, &share), fresh.message(0, &share));
    }
}

#[test]
fn messages_from_numbers() {
    let message = Message::new(MODULUS.into(), i64::from(MODULUS) + 5, (1 << 32) - 1).unwrap();
    assert_eq!(
        message,
        Message {
            f: 0,
            g: 5,
            h: (1 << 20) - 2
        }
    );
    for out in [-1, 1 << 32] {
        assert!(
            Message::new(out, 0, 0).is_err()
                && Message::new(0, out, 0).is_err()
                && Message::new(0, 0, out).is_err()
        );
    }
    assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message));
    for index in 0..3 {
        let with = |word: u32| {
            let mut bytes = [0; 12];
            bytes[4 * index..][..4].copy_from_slice(&word.to_le_bytes());
            Message::from_bytes(&bytes)
        };
        assert!(with(MODULUS - 1).is_some());
        assert_eq!(
            [MODULUS, MODULUS + 1, u32::MAX].map(with),
            [None; 3],
            "word {index}"
        );
    }
    // Even a message that was never reduced is not accepted.
    let unreduced = Message {
        f: MODULUS,
        g: MODULUS + 5,
        h: u32::MAX,
    };
    assert_eq!(
        unreduced.is_valid_with(&message),
        message.is_valid_with(&message)
    );
}

proptest! {
    #[test]
    fn sums_of_shares_are_shares_of_sums(bins in 1usize..40, packets in 1usize..30, seed: u64) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let prio2 = Prio2::new(bins).unwrap();
        let mut sums = [Sum::new(bins), Sum::new(bins)];
        let mut expected = vec![0; bins];
        let mut data = Vec::new();
        for packet in 0..packets {
            let bits: Vec<bool> = (0..bins).map(|bin| (packet * 31 + bin * 7 + seed as usize % 11).is_multiple_of(3)).collect();
            let shares = prio2.split(&bits, &Randomness::draw(&mut rng)).unwrap();
            for (role, plaintext) in [(0, &shares.first[..4 * bins]), (1, &shares.second)] {
                prio2.decode_data(role, plaintext, &mut data).unwrap();
                sums[role].add(&data);
                // Every second packet is subtracted again.
                if packet % 2 == 1 {
                    sums[role].subtract(&data);
                }
            }
            if packet % 2 == 0 {
                expected.iter_mut().zip(&bits).for_each(|(count, &bit)| *count += u32::from(bit));
            }
        }
        let [mut total, second] = sums;
        total.merge(&second);
        prop_assert_eq!(total.values(), expected);
    }
}

#[test]
fn stored_sums_are_checked() {
    assert_eq!(
        Sum::from_values(vec![1, MODULUS - 1]).unwrap().values(),
        [1, MODULUS - 1]
    );
    assert_eq!(
        Sum::from_values(vec![1, MODULUS]).unwrap_err(),
        Prio2Error::Element { index: 1 }
    );
}

/// Runs the whole scheme through the trait, without any other knowledge of the scheme.
fn run<S: Scheme>(
    scheme: &S,
    agreement: &S::Agreement,
    reports: Vec<crate::scheme::Sharded<S>>,
) -> S::AggregateResult
where
    S::Error: std::fmt::Debug,
{
    let mut outputs: Vec<Vec<S::OutputShare>> =
        (0..scheme.processors()).map(|_| Vec::new()).collect();
    for (public, shares) in reports {
        let started = shares.iter().enumerate();
        let (mut states, mut messages): (Vec<_>, Vec<_>) = started
            .map(|(index, share)| {
                scheme
                    .verify_init(index, agreement, &public, share)
                    .unwrap()
            })
            .unzip();
        for _ in 0..scheme.rounds() {
            let Ok(message) = scheme.verifier_shares_to_message(&messages) else {
                break;
            };
            messages.clear();
            let previous = std::mem::take(&mut states);
            for (index, state) in previous.into_iter().enumerate() {
                match scheme.verify_next(state, &message).unwrap() {
                    Transition::Continue(state, share) => {
                        states.push(state);
                        messages.push(share);
                    }
                    Transition::Finish(output) => outputs[index].push(output),
                }
            }
        }
    }
    let aggregates: Vec<_> = outputs
        .into_iter()
        .map(|outputs| scheme.aggregate(outputs))
        .collect();
    scheme.unshard(&aggregates).unwrap()
}

#[test]
fn the_scheme_counts_valid_reports_only() {
    let prio2 = Prio2::new(4).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let mut reports: Vec<_> = [
        [true, false, false, true],
        [true, true, false, false],
        [true; 4],
    ]
    .iter()
    .map(|bits| prio2.shard(bits, &Randomness::draw(&mut rng)).unwrap())
    .collect();
    reports[2].1[0][0] ^= 1;
    assert_eq!(
        run(&prio2, &Point::new(998_314_904, &prio2).unwrap(), reports),
        [2, 1, 0, 1]
    );
    assert_eq!(
        prio2.verifier_shares_to_message(&[Message::default()]),
        Err(Prio2Error::ShareCount { found: 1 })
    );
}

#[test]
fn debug_shows_no_share_and_no_point() {
    let prio2 = Prio2::new(2).unwrap();
    let randomness = Randomness {
        seed: [0xab; 32],
        f0: 123_456_789,
        g0: 987_654_321,
    };
    let shares = prio2.split(&[true, false], &randomness).unwrap();
    let point = Point::new(998_314_904, &prio2).unwrap();
    let evaluator = prio2.evaluator(point);
    let sum = Sum::from_values(vec![123_456_789]).unwrap();
    let shown = format!("{randomness:?} {shares:?} {point:?} {evaluator:?} {sum:?}");
    for secret in ["171", "ab", "123456789", "987654321", "998314904"] {
        assert!(!shown.replace("Evaluator", "").contains(secret), "{shown}");
    }
}
