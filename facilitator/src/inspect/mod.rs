//! Identifies files and objects, shows who signed them, and verifies them. Writes nothing.
//!
//! | module | responsibility |
//! |---|---|
//! | [`Target`] | resolves a path or URL to a bucket and a key |
//! | [`ObjectName`] | parses an object's name, and derives the names of its siblings |
//! | [`BatchFacts`], [`HeaderFacts`], [`PacketFacts`], [`Signer`] | signed batches and their parts |
//! | [`PreparedFacts`], [`ManifestFacts`], [`KeyFacts`], [`FolderFacts`] | all other objects |
//! | [`diff`] | compares two objects or batches |
//!
//! Everything except verification works without a configuration; explicitly given keys enable
//! verification, too. Secrets are never shown: no share, no verification message, no evaluation
//! point, no private key.

mod batch;
mod consistency;
pub mod diff;
mod folder;
mod header;
mod key_file;
mod manifest;
mod name;
mod object;
mod own_object;
mod packets;
mod prepared;
mod present;
mod record;
mod report;
mod sheet;
mod show;
mod show_batch;
mod signer;
mod stem;
mod tally;
mod target;
mod window;

pub use folder::{FolderBatches, FolderFacts};
pub use header::{HeaderFacts, SumFacts};
pub use key_file::{AnyKey, KeyEncoding, KeyFacts, PacketKeyFacts};
pub use manifest::{ManifestFacts, ManifestKey};
pub use name::{Family, ObjectName, Part, StemName};
pub use own_object::OwnObject;
pub use packets::{Distinct, PacketDetails, PacketFacts, ShareFacts};
pub use prepared::{OpenedFacts, PreparedFacts};
pub use report::{
    BatchFacts, BatchForm, Facts, InspectionReport, ObjectFinding, ObjectProblem, SignatureFacts,
};
pub use signer::{Party, Signer, Verification};
pub use target::Target;

use crate::error::Error;
use crate::processor::Processor;
use crate::progress::{ProgressCallback, no_progress};
use present::Present;
use signer::KnownKeys;
use std::sync::Arc;
use stem::{StemObject, stem_objects};
use tallybox_crypto::VerifyingKey;
use tallybox_model::avro::FileLimits;
use tallybox_model::id::KeyId;
use tallybox_model::role::Role;
use tallybox_transport::{BucketError, SharedBucket};

/// Inspects objects, with the keys and limits of a configuration if there is one.
pub struct Inspector {
    processor: Option<Arc<Processor>>,
    keys: Option<KnownKeys>,
    limits: FileLimits,
    progress: ProgressCallback,
}

impl Inspector {
    /// Creates an inspector. Without a configuration, default limits apply, and nothing is verified
    /// unless keys are [given](Self::with_keys).
    #[must_use]
    pub fn new(processor: Option<Arc<Processor>>) -> Self {
        let keys = processor.as_deref().map(KnownKeys::from_processor);
        let limits = processor
            .as_deref()
            .map(|processor| processor.limits.files.clone())
            .unwrap_or_default();
        Self {
            processor,
            keys,
            limits,
            progress: no_progress(),
        }
    }

    /// Adds keys that verify signatures.
    #[must_use]
    pub fn with_keys(mut self, given: Vec<(KeyId, VerifyingKey)>) -> Self {
        if !given.is_empty() {
            self.keys.get_or_insert_default().add(given);
        }
        self
    }

    /// Sets a callback for the packets and bytes read so far.
    #[must_use]
    pub fn with_progress(self, progress: ProgressCallback) -> Self {
        Self { progress, ..self }
    }

    fn own_role(&self) -> Option<Role> {
        self.processor
            .as_deref()
            .map(|processor| processor.buckets.role)
    }

    /// Inspects the target of a path or URL: an object, a whole batch (by any of its objects or the
    /// common prefix of their names), or a folder.
    ///
    /// # Errors
    /// [`Error::Bucket`] with [`BucketError::NotFound`] if nothing exists there, and the bucket's
    /// errors. Problems of the inspected object itself are part of the report.
    pub async fn inspect(&self, target: &Target) -> Result<InspectionReport, Error> {
        let Target { bucket, key, shown } = target;
        let report = |found| Ok(InspectionReport::new(shown, found));
        if let Some(name) = ObjectName::parse(key) {
            let present = Present::ask(bucket, name).await?;
            if present.all().next().is_some() {
                return report(vec![self.batch(bucket, present).await?.finding()]);
            }
        } else if !key.is_empty() {
            match bucket.size(key).await {
                Ok(bytes) => return report(vec![self.object(bucket, key, bytes).await?]),
                Err(BucketError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let found = self.stem(bucket, key).await?;
        if !found.is_empty() {
            return report(found);
        }
        match folder::inspect(bucket, key).await? {
            Some(finding) => report(vec![finding]),
            None => Err(not_found(bucket, key)),
        }
    }

    /// Inspects all batches and objects whose names start with `stem` and a dot.
    async fn stem(&self, bucket: &SharedBucket, stem: &str) -> Result<Vec<ObjectFinding>, Error> {
        let mut found = Vec::new();
        for name in stem_objects(bucket, stem).await? {
            found.push(match name {
                StemObject::Batch(name) => self
                    .batch(bucket, Present::ask(bucket, name).await?)
                    .await?
                    .finding(),
                StemObject::Other(key, bytes) => self.object(bucket, &key, bytes).await?,
            });
        }
        Ok(found)
    }
}

fn not_found(bucket: &SharedBucket, key: &str) -> Error {
    let key = if key.is_empty() {
        "at all".to_owned()
    } else {
        key.to_owned()
    };
    BucketError::NotFound {
        key,
        bucket: bucket.location(),
    }
    .into()
}
