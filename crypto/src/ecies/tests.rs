//! Tests with the known answer of the format, packets of the predecessor, and damaged packets.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use base64ct::{Base64, Encoding as _};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::prio2::{Message, Point, Prio2, Sum};

fn key(seed: u64) -> PacketPrivateKey {
    PacketPrivateKey::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

fn elevens() -> PacketPrivateKey {
    let text =
        "AQICF+YX8LZEOSgnj5aZnmmiOk8sFSvfbWzfZuW4AoLU7RERERERERERERERERERERERERERERERERERERERERER";
    PacketPrivateKey::parse(text).unwrap()
}

fn uncompressed(public: &p256::PublicKey) -> [u8; POINT_LENGTH] {
    use p256::elliptic_curve::sec1::ToSec1Point as _;
    public.to_sec1_point(false).as_bytes().try_into().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn known_answer() {
    let recipient = elevens();
    let plaintext: Vec<u8> = (0..32).collect();
    let sealed = seal_with_ephemeral(recipient.public(), &plaintext, &[0x22; 32]).unwrap();
    assert_eq!(sealed.len(), plaintext.len() + OVERHEAD);
    assert_eq!(
        hex(&sealed),
        "04d65a93977caa3d1b081852ff57a79e465f1660577304baead505dd3a48589cf350185e895372df6221ea3a137557e4\
         73fddb6755f05bd507c3c533fce9c912854150808f4caac94ab406ef4cf06c3180341ef3b3fc9ccaed5e6068b540b46c\
         5752af116ee8baffa3e96880f92e47ab44"
    );
    let mut buffer = vec![1, 2, 3];
    assert_eq!(recipient.open(&sealed, &mut buffer).unwrap(), plaintext);
}

#[test]
fn derived_key_known_answer() {
    let ephemeral = PrivateKey::from_private_key(&ECDH_P256, &[0x22; 32]).unwrap();
    let public = ephemeral.compute_public_key().unwrap();
    let public = public.as_ref().try_into().unwrap();
    let agreed = elevens()
        .agreement
        .agree(public, |secret| derive(secret, public));
    let derived = agreed.unwrap();
    assert_eq!(
        hex(derived.as_slice()),
        "63db8e02cee48bb19469a4f3f2d80fa435d51118d1b1d8898b0f4122ba0cbfad"
    );
}

/// Packets that the predecessor's program encrypted and verified. Our verification messages equal
/// its messages.
#[test]
fn packets_of_the_predecessor() {
    macro_rules! keys {
        ($server:literal) => {
            ["1", "2"].map(|number| {
                PacketPrivateKey::parse(match number {
                    "1" => include_str!(concat!(
                        "../../testdata/keys/",
                        $server,
                        "-packet-1.x963-private.b64"
                    )),
                    _ => include_str!(concat!(
                        "../../testdata/keys/",
                        $server,
                        "-packet-2.x963-private.b64"
                    )),
                })
                .unwrap()
            })
        };
    }
    let keys = [keys!("pha"), keys!("facilitator")];
    let data: serde_json::Value =
        serde_json::from_str(include_str!("../../testdata/packets.json")).unwrap();
    let packets = data["packets"].as_array().unwrap();
    assert_eq!(packets.len(), 12);
    for packet in packets {
        let prio2 = Prio2::new(packet["bins"].as_u64().unwrap() as usize).unwrap();
        let point = Point::new(packet["r_pit"].as_i64().unwrap(), &prio2).unwrap();
        let evaluator = prio2.evaluator(point);
        let mut sum = Sum::new(prio2.bins());
        let (mut buffer, mut share) = (Vec::new(), Vec::new());
        let messages = [0, 1].map(|role| {
            let name = ["first", "second"][role];
            let payload = Base64::decode_vec(packet[name].as_str().unwrap()).unwrap();
            let opened = keys[role]
                .iter()
                .position(|key| key.open(&payload, &mut buffer).is_ok());
            assert!(opened.is_some(), "a key opens it");
            prio2.decode_share(role, &buffer, &mut share).unwrap();
            sum.add(&share);
            let message = evaluator.message(role, &share);
            let numbers = &packet[format!("{name}_message")];
            let number = |i: usize| numbers[i].as_i64().unwrap();
            assert_eq!(
                message,
                Message::new(number(0), number(1), number(2)).unwrap()
            );
            message
        });
        assert!(Message::is_valid(&messages));
        let bits = packet["bits"]
            .as_str()
            .unwrap()
            .bytes()
            .map(|bit| u32::from(bit - b'0'));
        assert_eq!(sum.values(), bits.collect::<Vec<_>>());
    }
}

#[test]
fn what_cannot_be_opened_says_why() {
    let (ours, other) = (key(1), key(2));
    let mut buffer = Vec::new();
    let sealed = seal_with_ephemeral(ours.public(), b"share", &[0x22; 32]).unwrap();
    for length in [0, 10, 64, 65, OVERHEAD - 1] {
        let too_short = EciesError::TooShort { length };
        assert_eq!(ours.open(&sealed[..length], &mut buffer), Err(too_short));
        assert_eq!(check_ephemeral(&sealed[..length]), Err(too_short));
    }
    assert_eq!(check_ephemeral(&sealed[..OVERHEAD]), Ok(()));
    assert_eq!(
        other.open(&sealed, &mut buffer),
        Err(EciesError::TagMismatch)
    );
    assert!(buffer.is_empty());
    assert!(
        EciesError::TagMismatch.may_be_another_key() && !EciesError::NotAPoint.may_be_another_key()
    );

    // A point off the curve, a coordinate that is too large, and the other first bytes of a 65-byte
    // encoding.
    let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut damaged = sealed.clone();
        change(&mut damaged);
        let opened = ours.open(&damaged, &mut Vec::new()).map(|_| ());
        assert_eq!(check_ephemeral(&damaged), opened);
        opened
    };
    assert_eq!(damaged(&|bytes| bytes[64] ^= 1), Err(EciesError::NotAPoint));
    assert_eq!(
        damaged(&|bytes| bytes[1..33].fill(0xff)),
        Err(EciesError::NotAPoint)
    );
    assert_eq!(
        damaged(&|bytes| bytes[1..65].fill(0)),
        Err(EciesError::NotAPoint)
    );
    for form in [0, 2, 3, 5, 6, 7] {
        assert_eq!(
            damaged(&|bytes| bytes[0] = form),
            Err(EciesError::NotAPoint)
        );
    }
}

/// In batches, each packet has the result that it has alone.
#[test]
fn key_agreements_of_many_packets() {
    let (ours, other) = (key(1), key(2));
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let mut packets: Vec<Vec<u8>> = (0..40)
        .map(|length| seal(ours.public(), &vec![length; length.into()], &mut rng).unwrap())
        .collect();
    packets[3] = seal(other.public(), b"share", &mut rng).unwrap();
    packets[4].truncate(OVERHEAD - 1);
    packets[5][64] ^= 1;
    packets[6][0] = 2;
    packets[7].clear();
    packets[39][70] ^= 1;
    for size in [0, 1, 2, 8, 40] {
        let packets: Vec<&[u8]> = packets[..size].iter().map(Vec::as_slice).collect();
        let secrets = ours.agree_with(&packets);
        assert_eq!(secrets.len(), size);
        for (packet, secret) in packets.iter().zip(&secrets) {
            let (mut alone, mut buffer) = (Vec::new(), vec![1]);
            assert_eq!(
                secret.open(packet, &mut buffer),
                ours.open(packet, &mut alone)
            );
            assert_eq!(buffer, alone);
        }
    }
    let secrets = ours.agree_with(&[&packets[20], &packets[21]]);
    let swapped = secrets[0].open(&packets[21], &mut Vec::new()).map(|_| ());
    assert_eq!(swapped, Err(EciesError::TagMismatch));
}

#[test]
fn scalars_out_of_range_are_refused() {
    for scalar in [[0; 32], [0xff; 32]] {
        assert_eq!(
            seal_with_ephemeral(key(1).public(), b"", &scalar),
            Err(EciesError::Scalar)
        );
    }
}

#[test]
fn an_empty_plaintext_is_sealed_too() {
    let sealed = seal(key(1).public(), b"", &mut ChaCha20Rng::seed_from_u64(3)).unwrap();
    assert_eq!(sealed.len(), OVERHEAD);
    assert!(key(1).open(&sealed, &mut Vec::new()).unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_sealed_opens(plaintext in prop::collection::vec(any::<u8>(), 0..3000), seed: u64) {
        let key = key(seed);
        let sealed = seal(key.public(), &plaintext, &mut ChaCha20Rng::seed_from_u64(!seed)).unwrap();
        let mut buffer = vec![9; 10];
        prop_assert_eq!(&*key.open(&sealed, &mut buffer).unwrap(), &plaintext[..]);
        prop_assert_eq!(buffer, plaintext);
    }

    /// The two elliptic curve libraries agree: one derives the key for encryption, the other
    /// multiplies here.
    #[test]
    fn key_agreement_is_the_other_librarys(ours: u64, scalar in prop::array::uniform32(any::<u8>())) {
        let recipient = key(ours);
        let Ok(ephemeral) = p256::SecretKey::from_slice(&scalar) else { return Ok(()) };
        let point = p256::PublicKey::from_sec1_bytes(recipient.public().as_bytes()).unwrap();
        let product = point.to_projective() * *ephemeral.to_nonzero_scalar();
        let product = p256::PublicKey::from_affine(product.to_affine()).unwrap();
        let product = uncompressed(&product);

        let sealed = seal_with_ephemeral(recipient.public(), b"share", &scalar).unwrap();
        let mut hash = Sha256::new();
        hash.update(&product[1..33]);
        hash.update([0, 0, 0, 1]);
        hash.update(&sealed[..POINT_LENGTH]);
        prop_assert_eq!(&sealed[..POINT_LENGTH], &uncompressed(&ephemeral.public_key()));
        let derived: [u8; 32] = hash.finalize().into();
        let (cipher, nonce) = cipher(&derived);
        let mut body = sealed[POINT_LENGTH..].to_vec();
        let tag: [u8; 16] = body.split_off(5).try_into().unwrap();
        cipher.decrypt_inout_detached(nonce.into(), &[], body.as_mut_slice().into(), (&tag).into()).unwrap();
        prop_assert_eq!(&body, b"share");
    }

    #[test]
    fn arbitrary_bytes_never_open(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(key(1).open(&bytes, &mut Vec::new()).is_err());
    }
}

#[test]
fn any_flipped_bit_is_refused() {
    let key = key(4);
    let sealed = seal(key.public(), &[5; 40], &mut ChaCha20Rng::seed_from_u64(5)).unwrap();
    let mut buffer = Vec::new();
    for at in 0..sealed.len() {
        for bit in [0, 3, 7] {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << bit;
            assert!(
                key.open(&flipped, &mut buffer).is_err(),
                "byte {at}, bit {bit}"
            );
        }
    }
}
