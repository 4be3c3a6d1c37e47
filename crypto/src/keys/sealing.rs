//! The key with which a processor seals its own prepared batches.

use std::fmt;

use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::text::{KeyText, array, encode_secret, hex};
use crate::error::KeyError;

/// The forms that [`SealingKey::parse`] accepts.
const WANTED: &str = "a sealing key (base64 of 32 random bytes)";
/// Domain separation for the identifier.
const ID_INFO: &[u8] = b"tallybox sealing key id v1";
/// Domain separation for the key of records.
const RECORD_INFO: &[u8] = b"tallybox record key v1";

/// A secret of 32 random bytes from which the keys of prepared batches are derived.
#[derive(Clone, ZeroizeOnDrop)]
pub struct SealingKey {
    bytes: [u8; 32],
}

impl SealingKey {
    /// Parses base64 of exactly 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        match KeyText::read(text)? {
            KeyText::Bytes(decoded) => {
                let bytes = array(&decoded).ok_or(KeyError::Format { wanted: WANTED })?;
                Ok(Self { bytes })
            }
            KeyText::Pem { .. } => Err(KeyError::Format { wanted: WANTED }),
        }
    }

    /// Generates a new key.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut key = Self { bytes: [0; 32] };
        rng.fill_bytes(&mut key.bytes);
        key
    }

    /// Encodes the key as base64 of the 32 bytes.
    pub fn to_base64(&self) -> Zeroizing<String> {
        encode_secret(&self.bytes)
    }

    /// Returns eight hex digits that identify this key in object names. They are derived from the
    /// key and reveal nothing about it.
    pub fn id(&self) -> String {
        let mut id = [0; 4];
        self.expand(&[ID_INFO], &mut id);
        hex(&id)
    }

    /// Derives the bytes of the key that authenticates the other objects in the processor's own
    /// bucket. The derived key cannot open a prepared batch.
    pub fn record_key(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.expand(&[RECORD_INFO], bytes.as_mut_slice());
        bytes
    }

    /// Fills `output` with key material bound to `info` (HKDF-SHA256, RFC 5869, no salt).
    #[allow(
        clippy::expect_used,
        reason = "HKDF-SHA256 gives up to 8,160 bytes; callers ask for at most 32"
    )]
    pub(crate) fn expand(&self, info: &[&[u8]], output: &mut [u8]) {
        Hkdf::<Sha256>::new(None, &self.bytes)
            .expand_multi_info(info, output)
            .expect("at most 32 bytes");
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
