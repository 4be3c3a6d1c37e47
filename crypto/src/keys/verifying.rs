//! The public half of a batch signing key.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use p256::PublicKey;
use p256::pkcs8::{DecodePublicKey as _, EncodePublicKey as _, LineEnding};

use super::text::{KeyText, encode, fingerprint};
use super::{POINT_LENGTH, scalar};
use crate::error::{KeyError, SignatureError};

/// The forms that [`VerifyingKey::parse`] accepts.
const WANTED: &str = "a P-256 public key (PEM `PUBLIC KEY`, base64 SPKI, or base64 65-byte point)";

/// An ECDSA P-256 public key for batch signatures, as published in manifests.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    point: [u8; POINT_LENGTH],
}

impl VerifyingKey {
    /// Parses PEM `PUBLIC KEY`, base64 of SPKI DER, or base64 of the 65-byte uncompressed point.
    ///
    /// # Errors
    /// [`KeyError::Private`] for every form of a private key (ENPA's command line accepts one
    /// here). Other errors if the text has none of the forms above, or the point is not on the
    /// curve.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = KeyText::read(text)?;
        let public = match &text {
            KeyText::Pem {
                label: "PUBLIC KEY",
                text,
            } => PublicKey::from_public_key_pem(text)
                .map_err(|_| KeyError::Format { wanted: WANTED })?,
            KeyText::Bytes(bytes) if bytes.len() == POINT_LENGTH => {
                PublicKey::from_sec1_bytes(bytes).map_err(|_| KeyError::Invalid)?
            }
            KeyText::Bytes(bytes) => PublicKey::from_public_key_der(bytes)
                .map_err(|_| scalar::not_public(&text, WANTED))?,
            KeyText::Pem { .. } => return Err(scalar::not_public(&text, WANTED)),
        };
        Ok(Self::from_public(&public))
    }

    pub(crate) fn from_public(public: &PublicKey) -> Self {
        Self {
            point: scalar::uncompressed(public),
        }
    }

    /// Verifies an ASN.1 DER ECDSA signature with SHA-256 over `message`.
    ///
    /// # Errors
    /// [`SignatureError`] unless the signature is this key's over these bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
            .verify(message, signature)
            .map_err(|_| SignatureError)
    }

    /// Verifies an ECDSA signature with SHA-256 in the form of JOSE (RFC 7518 section 3.4): r and
    /// s, 32 bytes each.
    ///
    /// # Errors
    /// [`SignatureError`] unless the signature is this key's over these bytes.
    pub fn verify_fixed(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point)
            .verify(message, signature)
            .map_err(|_| SignatureError)
    }

    /// Returns the 65-byte uncompressed point.
    pub fn as_bytes(&self) -> &[u8; POINT_LENGTH] {
        &self.point
    }

    /// Encodes the key as PEM `PUBLIC KEY`, the form in manifests.
    pub fn to_spki_pem(&self) -> String {
        spki_pem(&self.point)
    }

    /// Encodes the key as base64 of SPKI DER (91 bytes).
    pub fn to_spki_base64(&self) -> String {
        encode(&spki_der(&self.point))
    }

    /// Encodes the key as base64 of the 65-byte uncompressed point, the form that ENPA's command
    /// line accepts.
    pub fn to_x962_base64(&self) -> String {
        encode(&self.point)
    }

    /// Returns the first 16 hex digits of the SHA-256 of the 65-byte point.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.point)
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("VerifyingKey")
            .field(&self.fingerprint())
            .finish()
    }
}

/// Encodes a valid point as SubjectPublicKeyInfo in PEM.
#[allow(
    clippy::expect_used,
    reason = "the point was checked when the key was made, and 91 bytes fit into DER"
)]
pub(crate) fn spki_pem(point: &[u8; POINT_LENGTH]) -> String {
    let public = PublicKey::from_sec1_bytes(point).expect("a key holds a point of the curve");
    public
        .to_public_key_pem(LineEnding::LF)
        .expect("a P-256 SPKI is 91 bytes of DER")
}

/// Encodes a valid point as SubjectPublicKeyInfo in DER.
#[allow(
    clippy::expect_used,
    reason = "the point was checked when the key was made, and 91 bytes fit into DER"
)]
pub(crate) fn spki_der(point: &[u8; POINT_LENGTH]) -> Vec<u8> {
    let public = PublicKey::from_sec1_bytes(point).expect("a key holds a point of the curve");
    public
        .to_public_key_der()
        .expect("a P-256 SPKI is 91 bytes of DER")
        .into_vec()
}
