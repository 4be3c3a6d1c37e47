//! The private half of a packet key, with which a processor decrypts its shares.

use std::fmt;

use p256::SecretKey;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::scalar::{self, X963_LENGTH};
use super::text::{KeyText, encode_secret};
use super::{POINT_LENGTH, PacketPublicKey, request};
use crate::error::KeyError;
use crate::p256x8::FixedScalar;

/// The forms that [`PacketPrivateKey::parse`] accepts.
const WANTED: &str = "a P-256 packet decryption key (base64 of 97 bytes, key-rotator material, or PKCS#8 as PEM or base64)";

/// A P-256 private key that decrypts packets (ENPA `packet-decryption-keys`).
///
/// The value also contains the key in the form that the fast key agreement needs, computed once.
pub struct PacketPrivateKey {
    secret: SecretKey,
    public: PacketPublicKey,
    pub(crate) agreement: FixedScalar,
}

impl PacketPrivateKey {
    /// Parses base64 of 97 bytes (uncompressed point, then scalar), key-rotator material, or PKCS#8
    /// as PEM or base64.
    ///
    /// # Errors
    /// [`KeyError`] if the text has none of these forms, or its public half does not belong to its
    /// scalar.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        match KeyText::read(text)? {
            KeyText::Bytes(bytes) if bytes.len() == X963_LENGTH => {
                let (point, secret) = bytes.split_at(POINT_LENGTH);
                Self::from_secret(scalar::from_halves(point, secret)?)
            }
            other => Self::from_secret(scalar::parse(&other, WANTED)?),
        }
    }

    /// Creates the key from its scalar, 32 big-endian bytes.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] unless there are 32 bytes that encode a number from 1 to the order
    /// minus 1.
    pub fn from_scalar(scalar: &[u8]) -> Result<Self, KeyError> {
        Self::from_secret(SecretKey::from_slice(scalar).map_err(|_| KeyError::Invalid)?)
    }

    /// Parses a comma-separated list, as used by ENPA's command line and secrets, and keeps its
    /// order.
    ///
    /// # Errors
    /// [`KeyError`] if an entry is not a key. An empty list or entry is [`KeyError::Empty`].
    pub fn parse_list(text: &str) -> Result<Vec<Self>, KeyError> {
        text.split(',').map(Self::parse).collect()
    }

    /// Generates a new key.
    #[allow(
        clippy::expect_used,
        reason = "both libraries accept exactly the scalars from 1 to the order less 1"
    )]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self::from_secret(scalar::generate(rng)).expect("a scalar in range is a key")
    }

    fn from_secret(secret: SecretKey) -> Result<Self, KeyError> {
        let agreement = FixedScalar::from_secret(&secret)?;
        let public = PacketPublicKey::from_public(&secret.public_key());
        Ok(Self {
            secret,
            public,
            agreement,
        })
    }

    /// Returns the public half.
    pub fn public(&self) -> &PacketPublicKey {
        &self.public
    }

    /// Encodes the key as base64 of the 65-byte point and the 32-byte scalar, the form that ENPA
    /// programs accept.
    pub fn to_x963_base64(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(X963_LENGTH));
        bytes.extend_from_slice(self.public.as_bytes());
        bytes.extend_from_slice(Zeroizing::new(self.secret.to_bytes()).as_slice());
        encode_secret(&bytes)
    }

    /// Encodes the key in the form that ENPA's key-rotator stores in its secrets.
    pub fn to_rotator_material(&self) -> Zeroizing<String> {
        scalar::to_rotator_material(&self.secret)
    }

    /// Encodes the key as PEM `PRIVATE KEY`.
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        scalar::to_pkcs8_pem(&self.secret)
    }

    /// Creates a PEM `CERTIFICATE REQUEST` (PKCS#10) for this key, signed by it, as published in
    /// manifests. The signature is deterministic, and therefore so is the text.
    ///
    /// # Errors
    /// [`KeyError::CommonName`] if `common_name` is empty or longer than 64 characters (X.520).
    pub fn certificate_request(&self, common_name: &str) -> Result<String, KeyError> {
        request::write(&self.secret, common_name)
    }
}

impl fmt::Debug for PacketPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketPrivateKey")
            .field("public", &self.public.fingerprint())
            .finish_non_exhaustive()
    }
}
