//! Comparison with a reference implementation: crate `prio`, which descends from the code that ENPA
//! ran. Dimensions, points and inputs are random.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use prio::codec::{Encode as _, ParameterizedDecode as _};
use prio::field::FieldPrio2;
use prio::vdaf::prio2::Prio2 as Judge;
use prio::vdaf::{Aggregator as _, Client as _, Share};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;

use super::*;

/// Computes the reference implementation's message for a share.
fn judged(bins: usize, r: u32, role: usize, plaintext: &[u8]) -> Message {
    let judge = Judge::new(bins).unwrap();
    let share: Share<FieldPrio2, 32> =
        Share::get_decoded_with_param(&(&judge, role), plaintext).unwrap();
    let (_, message) = judge
        .verify_init_with_query_rand(FieldPrio2::from(r), &share, role == 0)
        .unwrap();
    Message::from_bytes(
        message
            .get_encoded()
            .unwrap()
            .as_slice()
            .try_into()
            .unwrap(),
    )
    .unwrap()
}

/// Computes this crate's message for the same share.
fn ours(prio2: &Prio2, evaluator: &Evaluator, role: usize, plaintext: &[u8]) -> Message {
    let mut share = Vec::new();
    prio2.decode_share(role, plaintext, &mut share).unwrap();
    evaluator.message(role, &share)
}

fn case() -> impl Strategy<Value = (usize, Vec<bool>, i64, u64)> {
    (1usize..600).prop_flat_map(|bins| {
        (
            Just(bins),
            prop::collection::vec(any::<bool>(), bins),
            0..i64::from(MODULUS),
            any::<u64>(),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn our_shares_are_valid_and_our_messages_the_judges((bins, bits, r, seed) in case()) {
        let prio2 = Prio2::new(bins).unwrap();
        let Ok(point) = Point::new(r, &prio2) else { return Ok(()) };
        let randomness = Randomness::draw(&mut ChaCha20Rng::seed_from_u64(seed));
        let shares = prio2.split(&bits, &randomness).unwrap();
        let evaluator = prio2.evaluator(point);
        let messages = [shares.first.as_slice(), &shares.second].map(|share| share.to_vec());
        let messages = [0, 1].map(|role| {
            let message = ours(&prio2, &evaluator, role, &messages[role]);
            assert_eq!(message, judged(bins, point.value(), role, &messages[role]));
            message
        });
        prop_assert!(Message::is_valid(&messages));

        let mut sum = Sum::new(bins);
        let mut data = Vec::new();
        for (role, plaintext) in [(0, &shares.first[..4 * bins]), (1, &shares.second)] {
            prio2.decode_data(role, plaintext, &mut data).unwrap();
            sum.add(&data);
        }
        prop_assert!(sum.values().iter().zip(&bits).all(|(&value, &bit)| value == u32::from(bit)));
    }

    /// The messages also agree for shares that no client would create.
    #[test]
    fn messages_of_arbitrary_shares_are_the_judges(bins in 1usize..300, r in 2..MODULUS, seed: u64) {
        let prio2 = Prio2::new(bins).unwrap();
        let Ok(point) = Point::new(r.into(), &prio2) else { return Ok(()) };
        let mut words = Vec::new();
        prg::expand(Randomness::draw(&mut ChaCha20Rng::seed_from_u64(seed)).seed[..].try_into().unwrap(), prio2.proof_length(), &mut words);
        let plaintext: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let evaluator = prio2.evaluator(point);
        prop_assert_eq!(ours(&prio2, &evaluator, 0, &plaintext), judged(bins, r, 0, &plaintext));
    }

    /// The reference implementation's shares are valid in this crate.
    #[test]
    fn the_judges_shares_are_valid((bins, bits, r, _) in case()) {
        let prio2 = Prio2::new(bins).unwrap();
        let Ok(point) = Point::new(r, &prio2) else { return Ok(()) };
        let judge = Judge::new(bins).unwrap();
        let values: Vec<u32> = bits.iter().map(|&bit| bit.into()).collect();
        let ((), shares) = judge.shard(b"", &values, &[0; 16]).unwrap();
        let evaluator = prio2.evaluator(point);
        let messages: Vec<Message> = (0..)
            .zip(&shares)
            .map(|(role, share)| ours(&prio2, &evaluator, role, &share.get_encoded().unwrap()))
            .collect();
        prop_assert!(Message::is_valid(&messages));
    }
}

/// Large dimensions, including those where the domain is exactly filled.
#[test]
fn large_dimensions() {
    for bins in [1023, 1024, 5000, 65_535] {
        let prio2 = Prio2::new(bins).unwrap();
        let bits: Vec<bool> = (0..bins).map(|i| i % 3 == 0).collect();
        let shares = prio2
            .split(&bits, &Randomness::draw(&mut ChaCha20Rng::seed_from_u64(1)))
            .unwrap();
        let evaluator = prio2.evaluator(Point::new(998_314_904, &prio2).unwrap());
        let ours = [
            ours(&prio2, &evaluator, 0, &shares.first),
            ours(&prio2, &evaluator, 1, &shares.second),
        ];
        assert_eq!(ours[0], judged(bins, 998_314_904, 0, &shares.first));
        assert_eq!(ours[1], judged(bins, 998_314_904, 1, &shares.second));
        assert!(Message::is_valid(&ours));
    }
}

/// The reference implementation's two-party verification accepts this crate's shares.
#[test]
fn the_judge_accepts_our_shares() {
    let prio2 = Prio2::new(40).unwrap();
    let shares = prio2
        .split(
            &[true; 40],
            &Randomness::draw(&mut ChaCha20Rng::seed_from_u64(1)),
        )
        .unwrap();
    let judge = Judge::new(40).unwrap();
    let messages = [shares.first.as_slice(), &shares.second]
        .into_iter()
        .enumerate()
        .map(|(role, plaintext)| {
            let share: Share<FieldPrio2, 32> =
                Share::get_decoded_with_param(&(&judge, role), plaintext).unwrap();
            judge
                .verify_init_with_query_rand(FieldPrio2::from(12_345), &share, role == 0)
                .unwrap()
                .1
        });
    judge
        .verifier_shares_to_message(b"", &(), messages)
        .unwrap();
}
