//! The key that signs a processor's or ingestor's batches.

use std::fmt;

use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, Signature, SigningKey as EcdsaKey};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::text::KeyText;
use super::{VerifyingKey, scalar};
use crate::error::KeyError;

/// What [`SigningKey::parse`] takes.
const WANTED: &str = "a P-256 signing key (base64 PKCS#8, PEM `PRIVATE KEY`, or key-rotator material)";

/// An ECDSA P-256 private key for batch signatures (ENPA `batch-signing-private-key`).
///
/// Signing is deterministic (RFC 6979): a rerun publishes the same bytes.
#[derive(Clone)]
pub struct SigningKey {
    secret: SecretKey,
    ecdsa: EcdsaKey,
}

impl SigningKey {
    /// Reads base64 of PKCS#8 DER, PEM `PRIVATE KEY` (or `EC PRIVATE KEY`), or key-rotator material (base64
    /// without padding of `01`, the 33-byte compressed point and the 32-byte scalar).
    ///
    /// # Errors
    /// [`KeyError::Placeholder`] for the literal `not-a-real-key`; others if the text is none of the above, or
    /// its public half does not belong to its scalar.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        scalar::parse(&KeyText::read(text)?, WANTED).map(Self::from_secret)
    }

    /// Draws a new key.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self::from_secret(scalar::generate(rng))
    }

    pub(crate) fn from_secret(secret: SecretKey) -> Self {
        let ecdsa = EcdsaKey::from(&secret);
        Self { secret, ecdsa }
    }

    /// Signs `message`: ECDSA P-256 with SHA-256 and the nonce of RFC 6979, as ASN.1 DER (70 to 72 bytes, rarely
    /// fewer).
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.ecdsa.sign(message);
        signature.as_bytes().to_vec()
    }

    /// The same as 64 bytes, r and s, the form of JOSE (RFC 7518 section 3.4).
    pub fn sign_fixed(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.ecdsa.sign(message);
        signature.to_bytes().into()
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::from_public(&self.secret.public_key())
    }

    /// Base64 of PKCS#8 DER: what ENPA programs take.
    pub fn to_pkcs8_base64(&self) -> Zeroizing<String> {
        scalar::to_pkcs8_base64(&self.secret)
    }

    /// PEM `PRIVATE KEY`.
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        scalar::to_pkcs8_pem(&self.secret)
    }

    /// What ENPA's key-rotator keeps in its secrets.
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
