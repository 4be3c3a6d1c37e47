//! The state of an inspection: the keys and limits that are known.

use super::family::Family;
use super::signer::{KnownKeys, Outcome, Party, Verification};
use crate::processor::Processor;
use crate::progress::{ProgressCallback, no_progress};
use std::sync::Arc;
use tallybox_crypto::VerifyingKey;
use tallybox_model::avro::FileLimits;
use tallybox_model::id::KeyId;
use tallybox_model::role::Role;

/// Inspects objects, with the keys and limits of a configuration if there is one.
pub struct Inspector {
    pub(super) processor: Option<Arc<Processor>>,
    keys: Option<KnownKeys>,
    pub(super) limits: FileLimits,
    pub(super) progress: ProgressCallback,
}

impl Inspector {
    /// Creates an inspector. Without a configuration, default limits apply, and nothing is verified
    /// unless keys are [given](Self::with_keys).
    #[must_use]
    pub fn new(processor: Option<Arc<Processor>>) -> Self {
        let keys = processor.as_deref().map(KnownKeys::from_processor);
        let limits = processor
            .as_deref()
            .map(|processor| processor.limits.files.clone());
        Self {
            processor,
            keys,
            limits: limits.unwrap_or_default(),
            progress: no_progress(),
        }
    }

    /// Adds keys that verify signatures.
    #[must_use]
    pub fn with_keys(mut self, given: &[(KeyId, VerifyingKey)]) -> Self {
        if !given.is_empty() {
            let given = given.iter().map(|(id, key)| (id, key));
            self.keys.get_or_insert_default().add(Party::Given, given);
        }
        self
    }

    /// Sets a callback for the packets and bytes read so far.
    #[must_use]
    pub fn with_progress(self, progress: ProgressCallback) -> Self {
        Self { progress, ..self }
    }

    /// Verifies a signature over `header` that names `key`, with the known keys.
    pub(super) fn judge(&self, key: &str, header: &[u8], signature: &[u8]) -> Verification {
        match &self.keys {
            Some(keys) => keys.judge(key, header, signature),
            None => Outcome::NoKeyConfigured.into(),
        }
    }

    pub(super) fn expected_signer(&self, family: Family, writer: Option<Role>) -> Option<Party> {
        let processor = self.processor.as_deref()?;
        Party::expected(family, writer, processor.buckets.role)
    }

    /// Returns the description of the configured key with this fingerprint.
    pub(super) fn key_description(&self, fingerprint: &str) -> Option<String> {
        self.keys.as_ref()?.description(fingerprint)
    }
}
