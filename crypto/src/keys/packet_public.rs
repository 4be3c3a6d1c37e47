//! The public half of a packet key, to which clients encrypt a share.

use std::fmt;

use p256::PublicKey;
use p256::pkcs8::DecodePublicKey as _;

use super::text::{KeyText, encode, fingerprint};
use super::verifying::spki_pem;
use super::{POINT_LENGTH, request, scalar};
use crate::error::KeyError;

/// The forms that [`PacketPublicKey::parse`] accepts.
const WANTED: &str = "a P-256 packet encryption key (base64 of 65 bytes, PEM `CERTIFICATE REQUEST`, or PEM `PUBLIC KEY`)";

/// A P-256 public key to which packets are encrypted (ENPA `packet-encryption-keys`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PacketPublicKey {
    point: [u8; POINT_LENGTH],
}

impl PacketPublicKey {
    /// Parses base64 of the 65-byte uncompressed point, a PEM `CERTIFICATE REQUEST`, or an SPKI as
    /// PEM or base64.
    ///
    /// # Errors
    /// [`KeyError::Private`] for every form of a private key. Other errors if the text has none of
    /// the forms above, the point is not on the curve, or a certificate request is not signed by
    /// the key in it. (ENPA's reader does not check this signature.)
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let format = |_| KeyError::Format { wanted: WANTED };
        let text = KeyText::read(text)?;
        let public = match &text {
            KeyText::Pem {
                label: "CERTIFICATE REQUEST",
                text,
            } => request::read(text, WANTED)?,
            KeyText::Pem {
                label: "PUBLIC KEY",
                text,
            } => PublicKey::from_public_key_pem(text).map_err(format)?,
            KeyText::Pem { .. } => return Err(scalar::not_public(&text, WANTED)),
            KeyText::Bytes(bytes) if bytes.len() == POINT_LENGTH => {
                PublicKey::from_sec1_bytes(bytes).map_err(|_| KeyError::Invalid)?
            }
            KeyText::Bytes(bytes) => PublicKey::from_public_key_der(bytes)
                .map_err(|_| scalar::not_public(&text, WANTED))?,
        };
        Ok(Self::from_public(&public))
    }

    pub(crate) fn from_public(public: &PublicKey) -> Self {
        Self {
            point: scalar::uncompressed(public),
        }
    }

    /// Returns the 65-byte uncompressed point.
    pub fn as_bytes(&self) -> &[u8; POINT_LENGTH] {
        &self.point
    }

    /// Returns the first 16 hex digits of the SHA-256 of the 65-byte point.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.point)
    }

    /// Encodes the key as base64 of the 65-byte uncompressed point.
    pub fn to_x962_base64(&self) -> String {
        encode(&self.point)
    }

    /// Encodes the key as PEM `PUBLIC KEY`.
    pub fn to_spki_pem(&self) -> String {
        spki_pem(&self.point)
    }
}

impl fmt::Debug for PacketPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PacketPublicKey")
            .field(&self.fingerprint())
            .finish()
    }
}
