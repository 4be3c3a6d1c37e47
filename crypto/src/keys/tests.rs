//! Tests of every encoding of every key in both directions, of foreign keys, and that no output
//! contains a secret.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use p256::SecretKey;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;

use super::text::hex;
use super::*;
use crate::error::KeyError;

/// The key of scalar 0x11...11, as `enpa-wire` encodes it.
const X963: &str = "BAIX5hfwtkQ5KCePlpmeaaI6TywVK99tbN9m5bgCgtTtGUp968uXcS0t2jyoWqh2Wlb0X8dYWZZS8ol8ZTBuV5QREREREREREREREREREREREREREREREREREREREREREQ==";
const ROTATOR: &str =
    "AQICF+YX8LZEOSgnj5aZnmmiOk8sFSvfbWzfZuW4AoLU7RERERERERERERERERERERERERERERERERERERERERER";
const POINT: &str = "040217e617f0b6443928278f96999e69a23a4f2c152bdf6d6cdf66e5b80282d4ed\
                     194a7debcb97712d2dda3ca85aa8765a56f45fc758599652f2897c65306e5794";

macro_rules! testdata {
    ($($part:literal),+) => {
        include_str!(concat!("../../testdata/", $($part),+))
    };
}

fn elevens() -> SecretKey {
    SecretKey::from_slice(&[0x11; 32]).unwrap()
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(2)
}

#[test]
fn packet_key_in_every_encoding() {
    let key = PacketPrivateKey::parse(X963).unwrap();
    assert_eq!(hex(key.public().as_bytes()), POINT);
    assert_eq!(
        (
            key.to_x963_base64().as_str(),
            key.to_rotator_material().as_str()
        ),
        (X963, ROTATOR)
    );
    let pkcs8 = SigningKey::from_secret(elevens());
    let openssl = testdata!("foreign/scalar-11.pkcs8.pem");
    assert_eq!(key.to_pkcs8_pem().as_str(), openssl);
    for text in [
        ROTATOR,
        openssl,
        testdata!("foreign/scalar-11.sec1.pem"),
        &pkcs8.to_pkcs8_base64(),
        &format!("\n {X963}\r\n"),
        &format!("{}\n{}", &X963[..76], &X963[76..]),
        X963.trim_end_matches('='),
    ] {
        let reread = PacketPrivateKey::parse(text).unwrap();
        assert_eq!(reread.to_x963_base64(), key.to_x963_base64());
    }
}

#[test]
fn packet_public_key_in_every_encoding() {
    let key = *PacketPrivateKey::parse(X963).unwrap().public();
    for text in [
        &key.to_x962_base64(),
        &key.to_spki_pem(),
        &VerifyingKey::parse(testdata!("foreign/scalar-11.spki.pem"))
            .unwrap()
            .to_spki_base64(),
        testdata!("foreign/scalar-11.spki.pem"),
        testdata!("foreign/request-sha256.pem"),
        testdata!("foreign/request-extensions.pem"),
    ] {
        assert_eq!(PacketPublicKey::parse(text), Ok(key));
    }
    assert_eq!(key.to_spki_pem(), testdata!("foreign/scalar-11.spki.pem"));
    assert_eq!(key.fingerprint().len(), 16);
}

#[test]
fn signing_key_in_every_encoding() {
    let key = SigningKey::from_secret(elevens());
    for text in [
        ROTATOR,
        testdata!("foreign/scalar-11.pkcs8.pem"),
        &key.to_pkcs8_base64(),
        &key.to_pkcs8_pem(),
    ] {
        assert_eq!(
            SigningKey::parse(text).unwrap().to_pkcs8_base64(),
            key.to_pkcs8_base64()
        );
    }
    assert_eq!(key.to_rotator_material().as_str(), ROTATOR);
    let public = key.verifying_key();
    assert_eq!(hex(public.as_bytes()), POINT);
    for text in [
        &public.to_spki_pem(),
        &public.to_spki_base64(),
        &public.to_x962_base64(),
    ] {
        assert_eq!(VerifyingKey::parse(text), Ok(public.clone()));
    }
}

#[test]
fn a_private_key_is_not_taken_for_a_public_one() {
    let (signing, packet) = (
        SigningKey::from_secret(elevens()),
        PacketPrivateKey::parse(X963).unwrap(),
    );
    for text in [
        X963,
        ROTATOR,
        testdata!("foreign/scalar-11.pkcs8.pem"),
        &signing.to_pkcs8_base64(),
        &signing.to_pkcs8_pem(),
        &packet.to_x963_base64(),
        &packet.to_rotator_material(),
    ] {
        assert_eq!(VerifyingKey::parse(text).unwrap_err(), KeyError::Private);
        assert_eq!(PacketPublicKey::parse(text).unwrap_err(), KeyError::Private);
    }
}

#[test]
fn keys_of_the_predecessor() {
    macro_rules! packet_keys {
        ($($name:literal)*) => { $({
            let private = PacketPrivateKey::parse(testdata!("keys/", $name, ".x963-private.b64")).unwrap();
            let public = testdata!("keys/", $name, ".x963-public.b64");
            assert_eq!(PacketPublicKey::parse(public), Ok(*private.public()));
            assert_eq!(private.public().to_x962_base64(), public.trim());
        })* };
    }
    packet_keys!("pha-packet-1" "pha-packet-2" "facilitator-packet-1" "facilitator-packet-2");
    macro_rules! signing_keys {
        ($($name:literal)*) => { $({
            let text = testdata!("keys/", $name, "-signing.pkcs8.b64");
            let private = SigningKey::parse(text).unwrap();
            assert_eq!(private.to_pkcs8_base64().as_str(), text.trim());
            let public = private.verifying_key();
            let pem = testdata!("keys/", $name, "-signing.spki.pem");
            let base64 = testdata!("keys/", $name, "-signing.spki.b64");
            let point = testdata!("keys/", $name, "-signing.x962-public.b64");
            assert_eq!((public.to_spki_pem().trim(), public.to_spki_base64().as_str()), (pem.trim(), base64.trim()));
            assert_eq!(public.to_x962_base64(), point.trim());
            for text in [pem, base64, point] {
                assert_eq!(VerifyingKey::parse(text), Ok(public.clone()));
            }
        })* };
    }
    signing_keys!("ingestor" "pha" "facilitator");
}

#[test]
fn lists_are_split_at_commas() {
    let list = PacketPrivateKey::parse_list(&format!("{X963}, {ROTATOR}")).unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!(
        PacketPrivateKey::parse_list("").unwrap_err(),
        KeyError::Empty
    );
    assert_eq!(
        PacketPrivateKey::parse_list(&format!("{X963},")).unwrap_err(),
        KeyError::Empty
    );
}

#[test]
fn requests_have_to_be_signed_by_their_key() {
    let key = PacketPrivateKey::generate(&mut rng());
    for name in ["csr.example.org", "Größe, \"x\"=1"] {
        let request = key.certificate_request(name).unwrap();
        assert_eq!(PacketPublicKey::parse(&request), Ok(*key.public()));
        assert_eq!(
            key.certificate_request(name).unwrap(),
            request,
            "deterministic"
        );
    }
    assert_eq!(
        key.certificate_request("").unwrap_err(),
        KeyError::CommonName
    );
    assert_eq!(
        key.certificate_request(&"x".repeat(65)).unwrap_err(),
        KeyError::CommonName
    );
    assert_eq!(
        PacketPublicKey::parse(testdata!("foreign/request-sha384.pem")).unwrap_err(),
        KeyError::RequestSignature
    );
    assert!(PacketPublicKey::parse(testdata!("foreign/request-p384.pem")).is_err());

    // Another name in the request, with the old signature.
    let (_, body) =
        x509_cert::der::pem::decode_vec(testdata!("foreign/request-sha256.pem").as_bytes())
            .unwrap();
    let at = body.windows(3).position(|window| window == b"csr").unwrap();
    let mut changed = body;
    changed[at] = b'd';
    let ending = x509_cert::der::pem::LineEnding::LF;
    let changed =
        x509_cert::der::pem::encode_string("CERTIFICATE REQUEST", ending, &changed).unwrap();
    assert_eq!(
        PacketPublicKey::parse(&changed).unwrap_err(),
        KeyError::RequestSignature
    );
}

#[test]
fn what_is_no_key_is_refused() {
    assert_eq!(
        SigningKey::parse("not-a-real-key\n").unwrap_err(),
        KeyError::Placeholder
    );
    assert_eq!(SigningKey::parse(" \n").unwrap_err(), KeyError::Empty);
    assert_eq!(
        SigningKey::parse("hello world!").unwrap_err(),
        KeyError::Encoding
    );
    assert_eq!(
        SigningKey::parse("-----BEGIN nothing").unwrap_err(),
        KeyError::Encoding
    );
    for text in [
        X963,
        "AAAA",
        testdata!("foreign/scalar-11.spki.pem"),
        testdata!("foreign/request-sha256.pem"),
    ] {
        assert!(matches!(
            SigningKey::parse(text),
            Err(KeyError::Format { .. })
        ));
    }
    for text in [
        "AAAA",
        testdata!("foreign/scalar-11.spki.pem"),
        testdata!("foreign/request-sha256.pem"),
    ] {
        assert!(matches!(
            PacketPrivateKey::parse(text),
            Err(KeyError::Format { .. })
        ));
    }
    assert!(VerifyingKey::parse(testdata!("foreign/p384.spki.pem")).is_err());
    assert!(PacketPublicKey::parse(testdata!("foreign/p384.spki.pem")).is_err());
    assert!(VerifyingKey::parse(testdata!("foreign/request-sha256.pem")).is_err());

    // The public half of another key, a scalar of zero, a scalar equal to the order, a point off
    // the curve.
    let mut other = PacketPrivateKey::generate(&mut rng())
        .public()
        .as_bytes()
        .to_vec();
    other.extend([0x11; 32]);
    assert_eq!(
        PacketPrivateKey::parse(&text::encode(&other)).unwrap_err(),
        KeyError::Mismatch
    );
    for scalar in [[0; 32], [0xff; 32]] {
        other.splice(65.., scalar);
        assert_eq!(
            PacketPrivateKey::parse(&text::encode(&other)).unwrap_err(),
            KeyError::Invalid
        );
    }
    other[64] ^= 1;
    assert_eq!(
        PacketPublicKey::parse(&text::encode(&other[..65])).unwrap_err(),
        KeyError::Invalid
    );
    assert_eq!(
        VerifyingKey::parse(&text::encode(&other[..65])).unwrap_err(),
        KeyError::Invalid
    );
}

#[test]
fn sealing_keys() {
    let key = SealingKey::generate(&mut rng());
    let reread = SealingKey::parse(&key.to_base64()).unwrap();
    assert_eq!(
        (reread.to_base64(), reread.id()),
        (key.to_base64(), key.id())
    );
    assert_eq!(key.id().len(), 8);
    assert_ne!(
        SealingKey::parse(&text::encode(&[0; 32])).unwrap().id(),
        key.id()
    );
    for length in [0, 31, 33, 64] {
        assert!(SealingKey::parse(&text::encode(&vec![7; length])).is_err());
    }
}

#[test]
fn generated_keys_follow_from_the_randomness() {
    assert_eq!(
        SigningKey::generate(&mut rng()).to_pkcs8_pem(),
        SigningKey::generate(&mut rng()).to_pkcs8_pem()
    );
    let packet = PacketPrivateKey::generate(&mut rng());
    assert_eq!(
        PacketPrivateKey::parse(&packet.to_x963_base64())
            .unwrap()
            .public(),
        packet.public()
    );
}

/// RFC 6979 A.2.5, P-256 with SHA-256.
#[test]
fn signatures_are_those_of_rfc_6979() {
    let hex_scalar = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    let scalar: Vec<u8> = (0..64)
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex_scalar[i..i + 2], 16).unwrap())
        .collect();
    let key = SigningKey::from_secret(SecretKey::from_slice(&scalar).unwrap());
    assert_eq!(
        hex(&key.sign(b"sample")),
        "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    );
    assert_eq!(
        hex(&key.sign(b"test")),
        "3045022100f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367\
         0220019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"
    );
    key.verifying_key()
        .verify(b"sample", &key.sign(b"sample"))
        .unwrap();
    assert!(
        key.verifying_key()
            .verify(b"sampel", &key.sign(b"sample"))
            .is_err()
    );
    assert!(
        SigningKey::generate(&mut rng())
            .verifying_key()
            .verify(b"sample", &key.sign(b"sample"))
            .is_err()
    );
}

/// No four consecutive bytes of a secret may appear in hex, in decimal lists or in base64.
#[test]
fn debug_shows_no_secret() {
    let packet = PacketPrivateKey::parse(X963).unwrap();
    let signing = SigningKey::parse(ROTATOR).unwrap();
    let sealing = SealingKey::parse(&text::encode(&[0x11; 32])).unwrap();
    for shown in [
        format!("{packet:?}"),
        format!("{signing:?}"),
        format!("{sealing:?}"),
        format!("{packet:#?}"),
    ] {
        for secret in ["11111111", "17, 17", "0x11", "ERER", "EREQ"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("Key"), "{shown}");
    }
    // Errors name the form of a key, never its content.
    assert!(
        !SigningKey::parse(X963)
            .unwrap_err()
            .to_string()
            .contains("ERER")
    );
}

#[test]
fn keys_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<PacketPrivateKey>();
    shared::<SigningKey>();
    shared::<VerifyingKey>();
    shared::<SealingKey>();
}
