//! Secret scalars, and the encodings that signing keys and packet keys have in common.

use p256::SecretKey;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::text::{KeyText, encode_secret, encode_secret_unpadded};
use super::{POINT_LENGTH, SCALAR_LENGTH};
use crate::error::KeyError;

/// First byte of the key-rotator's material: P-256, the only type it supports.
const ROTATOR_TYPE: u8 = 1;
/// Length of the key-rotator's material: type byte, compressed point, scalar.
const ROTATOR_LENGTH: usize = 1 + 33 + SCALAR_LENGTH;
/// Length of an uncompressed point with its scalar.
pub(crate) const X963_LENGTH: usize = POINT_LENGTH + SCALAR_LENGTH;

/// Parses PKCS#8 (PEM or base64) or key-rotator material.
pub(crate) fn parse(text: &KeyText<'_>, wanted: &'static str) -> Result<SecretKey, KeyError> {
    match text {
        KeyText::Pem {
            label: "PRIVATE KEY" | "EC PRIVATE KEY",
            text,
        } => SecretKey::from_pem(text).map_err(|_| KeyError::Format { wanted }),
        KeyText::Pem { .. } => Err(KeyError::Format { wanted }),
        KeyText::Bytes(bytes) if bytes.len() == ROTATOR_LENGTH && bytes[0] == ROTATOR_TYPE => {
            let (point, scalar) = bytes[1..].split_at(33);
            from_halves(point, scalar)
        }
        KeyText::Bytes(bytes) => {
            SecretKey::from_pkcs8_der(bytes).map_err(|_| KeyError::Format { wanted })
        }
    }
}

/// Returns the error for a text that is not a public key: [`KeyError::Private`] if it is any form
/// of a private key.
pub(crate) fn not_public(text: &KeyText<'_>, wanted: &'static str) -> KeyError {
    let private = match text {
        KeyText::Pem { label, .. } => label.ends_with("PRIVATE KEY"),
        // A private packet key of ENPA begins with its public half, so a parser could take it for a
        // public key.
        KeyText::Bytes(bytes) => bytes.len() == X963_LENGTH || parse(text, wanted).is_ok(),
    };
    if private {
        KeyError::Private
    } else {
        KeyError::Format { wanted }
    }
}

/// Combines a scalar with its public point (SEC1, compressed or not), and checks that the two
/// belong together.
pub(crate) fn from_halves(point: &[u8], scalar: &[u8]) -> Result<SecretKey, KeyError> {
    let secret = SecretKey::from_slice(scalar).map_err(|_| KeyError::Invalid)?;
    let public = p256::PublicKey::from_sec1_bytes(point).map_err(|_| KeyError::Invalid)?;
    if secret.public_key() == public {
        Ok(secret)
    } else {
        Err(KeyError::Mismatch)
    }
}

/// Draws a uniform scalar by rejection. The same random bytes yield the same key.
pub(crate) fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> SecretKey {
    let mut bytes = Zeroizing::new([0; SCALAR_LENGTH]);
    loop {
        rng.fill_bytes(bytes.as_mut_slice());
        if let Ok(secret) = SecretKey::from_slice(bytes.as_slice()) {
            return secret;
        }
    }
}

/// Encodes a public point in uncompressed form.
pub(crate) fn uncompressed(public: &p256::PublicKey) -> [u8; POINT_LENGTH] {
    use p256::elliptic_curve::sec1::ToSec1Point as _;
    let mut point = [0; POINT_LENGTH];
    point.copy_from_slice(public.to_sec1_point(false).as_bytes());
    point
}

#[allow(
    clippy::expect_used,
    reason = "DER of fixed-size fields cannot exceed the length limit of DER"
)]
pub(crate) fn to_pkcs8_base64(secret: &SecretKey) -> Zeroizing<String> {
    let der = secret
        .to_pkcs8_der()
        .expect("a P-256 key is 138 bytes of DER");
    encode_secret(der.as_bytes())
}

#[allow(
    clippy::expect_used,
    reason = "DER of fixed-size fields cannot exceed the length limit of DER"
)]
pub(crate) fn to_pkcs8_pem(secret: &SecretKey) -> Zeroizing<String> {
    secret
        .to_pkcs8_pem(LineEnding::LF)
        .expect("a P-256 key is 138 bytes of DER")
}

pub(crate) fn to_rotator_material(secret: &SecretKey) -> Zeroizing<String> {
    use p256::elliptic_curve::sec1::ToSec1Point as _;
    let mut material = Zeroizing::new(Vec::with_capacity(ROTATOR_LENGTH));
    material.push(ROTATOR_TYPE);
    material.extend_from_slice(secret.public_key().to_sec1_point(true).as_bytes());
    material.extend_from_slice(Zeroizing::new(secret.to_bytes()).as_slice());
    encode_secret_unpadded(&material)
}
