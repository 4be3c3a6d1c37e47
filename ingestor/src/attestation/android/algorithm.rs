//! Signature verification for certificates: the few algorithms that Android's chains use.
//!
//! The path building of `webpki` cannot be used: keystores write arbitrary validity periods into
//! certificates (a Pixel's StrongBox writes the year 2001), and encode `ecdsa-with-SHA256` with a
//! NULL that RFC 5758 forbids. This module selects the algorithm itself and uses the signature
//! verification of `webpki`.

use der::Encode as _;
use der::oid::ObjectIdentifier;
use webpki::aws_lc_rs as checks;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::attestation::Reason;

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");

/// Bytes of an uncompressed point of P-256, including its first byte.
const P256_POINT: usize = 65;
/// Bytes of an RSA key of 4096 bits in the form of PKCS #1, with some margin.
const MOST_RSA_BYTES: usize = 600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyKind {
    P256,
    P384,
    Rsa,
}

/// Verifies a signature over `message` with this key.
pub(super) fn verify(
    key: &SubjectPublicKeyInfoOwned,
    algorithm: &AlgorithmIdentifierOwned,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Reason> {
    let parameters = algorithm.parameters.as_ref();
    if parameters.is_some_and(|parameters| !parameters.is_null()) {
        return Err(Reason::Algorithm);
    }
    let check = match (kind(key).ok_or(Reason::Algorithm)?, algorithm.oid) {
        (KeyKind::P256, ECDSA_SHA256) => checks::ECDSA_P256_SHA256,
        (KeyKind::P256, ECDSA_SHA384) => checks::ECDSA_P256_SHA384,
        (KeyKind::P256, ECDSA_SHA512) => checks::ECDSA_P256_SHA512,
        (KeyKind::P384, ECDSA_SHA256) => checks::ECDSA_P384_SHA256,
        (KeyKind::P384, ECDSA_SHA384) => checks::ECDSA_P384_SHA384,
        (KeyKind::P384, ECDSA_SHA512) => checks::ECDSA_P384_SHA512,
        (KeyKind::Rsa, RSA_SHA256) => checks::RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa, RSA_SHA384) => checks::RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa, RSA_SHA512) => checks::RSA_PKCS1_2048_8192_SHA512,
        _ => return Err(Reason::Algorithm),
    };
    let bits = key.subject_public_key.as_bytes().ok_or(Reason::Algorithm)?;
    check
        .verify_signature(bits, message, signature)
        .map_err(|_| Reason::ChainSignature)
}

/// Verifies the report's signature with the attested key: ECDSA P-256 with SHA-256.
pub(super) fn verify_report(
    point: &[u8; P256_POINT],
    message: &[u8],
    signature: &[u8],
) -> Result<(), Reason> {
    checks::ECDSA_P256_SHA256
        .verify_signature(point, message, signature)
        .map_err(|_| Reason::ReportSignature)
}

/// Returns the point of an attested key, and its unique encoding.
pub(super) fn attested_key(
    key: &SubjectPublicKeyInfoOwned,
) -> Result<([u8; P256_POINT], Vec<u8>), Reason> {
    let bits = key.subject_public_key.as_bytes().ok_or(Reason::LeafKey)?;
    let point: [u8; P256_POINT] = bits.try_into().map_err(|_| Reason::LeafKey)?;
    if kind(key) != Some(KeyKind::P256) || point[0] != 4 {
        return Err(Reason::LeafKey);
    }
    Ok((point, key.to_der().map_err(|_| Reason::LeafKey)?))
}

fn kind(key: &SubjectPublicKeyInfoOwned) -> Option<KeyKind> {
    let parameters = key.algorithm.parameters.as_ref()?;
    match key.algorithm.oid {
        EC => match parameters.decode_as::<ObjectIdentifier>().ok()? {
            P256 => Some(KeyKind::P256),
            P384 => Some(KeyKind::P384),
            _ => None,
        },
        RSA => {
            let small = key.subject_public_key.raw_bytes().len() <= MOST_RSA_BYTES;
            (parameters.is_null() && small).then_some(KeyKind::Rsa)
        }
        _ => None,
    }
}
