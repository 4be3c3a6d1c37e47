//! Signers of batches.

use async_trait::async_trait;
use tallybox_crypto::{SigningKey, VerifyingKey};
use tallybox_model::id::KeyId;

pub use crate::error::SignError;

/// A signer of batches: a key in a file, or a key that never leaves a cloud service.
#[async_trait]
pub trait BatchSigner: Send + Sync + std::fmt::Debug {
    /// Returns the id under which manifests publish the key.
    fn key_id(&self) -> &str;

    /// Returns the public key.
    fn verifying_key(&self) -> VerifyingKey;

    /// Signs the bytes of a header: ECDSA P-256 with SHA-256, ASN.1 DER.
    ///
    /// # Errors
    /// [`SignError`] if the key cannot be reached.
    async fn sign(&self, header: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A signing key from a file.
#[derive(Debug)]
pub struct FileSigner {
    pub(crate) id: KeyId,
    pub(crate) key: SigningKey,
}

#[async_trait]
impl BatchSigner for FileSigner {
    fn key_id(&self) -> &str {
        &self.id
    }

    fn verifying_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    async fn sign(&self, header: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.key.sign(header))
    }
}
