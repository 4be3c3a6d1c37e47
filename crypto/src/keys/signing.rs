//! The key with which a processor or ingestor signs its batches.

use std::fmt;

use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, Signature, SigningKey as EcdsaKey};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::text::KeyText;
use super::{VerifyingKey, scalar};
use crate::error::KeyError;

/// The forms that [`SigningKey::parse`] accepts.
const WANTED: &str =
    "a P-256 signing key (base64 PKCS#8, PEM `PRIVATE KEY`, or key-rotator material)";

/// An ECDSA P-256 private key for batch signatures (ENPA `batch-signing-private-key`).
///
/// Signatures are deterministic (RFC 6979), so a repeated run publishes the same bytes.
#[derive(Clone)]
pub struct SigningKey {
    secret: SecretKey,
    ecdsa: EcdsaKey,
}

impl SigningKey {
    /// Parses base64 of PKCS#8 DER, PEM `PRIVATE KEY` (or `EC PRIVATE KEY`), or key-rotator
    /// material (base64 without padding of `01`, the 33-byte compressed point and the 32-byte
    /// scalar).
    ///
    /// # Errors
    /// [`KeyError::Placeholder`] for the literal `not-a-real-key`. Other errors if the text has
    /// none of the forms above, or its public half does not belong to its scalar.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        scalar::parse(&KeyText::read(text)?, WANTED).map(Self::from_secret)
    }

    /// Generates a new key.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self::from_secret(scalar::generate(rng))
    }

    pub(crate) fn from_secret(secret: SecretKey) -> Self {
        let ecdsa = EcdsaKey::from(&secret);
        Self { secret, ecdsa }
    }

    /// Signs `message` with ECDSA P-256 and SHA-256, using the nonce of RFC 6979. The signature is
    /// ASN.1 DER of 70 to 72 bytes, in rare cases fewer.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.ecdsa.sign(message);
        signature.as_bytes().to_vec()
    }

    /// Signs `message` like [`Self::sign`], but returns r and s as 64 bytes, the form of JOSE (RFC
    /// 7518 section 3.4).
    pub fn sign_fixed(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.ecdsa.sign(message);
        signature.to_bytes().into()
    }

    /// Returns the public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::from_public(&self.secret.public_key())
    }

    /// Encodes the key as base64 of PKCS#8 DER, the form that ENPA programs accept.
    pub fn to_pkcs8_base64(&self) -> Zeroizing<String> {
        scalar::to_pkcs8_base64(&self.secret)
    }

    /// Encodes the key as PEM `PRIVATE KEY`.
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        scalar::to_pkcs8_pem(&self.secret)
    }

    /// Encodes the key in the form that ENPA's key-rotator stores in its secrets.
    pub fn to_rotator_material(&self) -> Zeroizing<String> {
        scalar::to_rotator_material(&self.secret)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.verifying_key().fingerprint())
            .finish_non_exhaustive()
    }
}
