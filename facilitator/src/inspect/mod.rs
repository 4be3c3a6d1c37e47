//! Looking at files and objects: what they are, who signed them, whether they verify. Nothing is ever written.
//!
//! | module | knows |
//! |---|---|
//! | [`Target`] | where a path or URL leads |
//! | [`ObjectName`] | what an object's name says, and the names of its siblings |
//! | [`BatchFacts`], [`HeaderFacts`], [`PacketFacts`], [`Signer`] | signed batches, whole or in part |
//! | [`PreparedFacts`], [`ManifestFacts`], [`KeyFacts`], [`FolderFacts`] | everything else |
//! | [`diff`] | what two of them differ in |
//!
//! Without a configuration everything works but verification, and with keys that are given that works, too. No secret is ever shown: no share, no message, no
//! evaluation point, no private key.

mod batch;
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
mod verdict;
mod window;

pub use folder::{FolderBatches, FolderFacts};
pub use header::{HeaderFacts, SumFacts};
pub use key_file::{AnyKey, Encoding, KeyFacts, PacketKeyFacts};
pub use manifest::{ManifestFacts, ManifestKey};
pub use name::{Family, ObjectName, Part, Place};
pub use own_object::OwnObject;
pub use packets::{Distinct, PacketDetails, PacketFacts, ShareFacts};
pub use prepared::{OpenedFacts, PreparedFacts};
pub use report::{BatchFacts, Facts, Finding, Form, Problem, Report, SignatureFacts};
pub use signer::{Party, Signer, Verification};
pub use target::Target;

use crate::error::Error;
use crate::intake::{Progress, no_progress};
use crate::processor::Processor;
use present::Present;
use signer::KnownKeys;
use std::sync::Arc;
use stem::{StemObject, stem_objects};
use tallybox_crypto::VerifyingKey;
use tallybox_model::avro::Limits;
use tallybox_model::id::KeyId;
use tallybox_model::role::Role;
use tallybox_transport::{BucketError, SharedBucket};

/// Looks at things, with the keys and limits of a configuration if there is one.
pub struct Inspector {
    processor: Option<Arc<Processor>>,
    keys: Option<KnownKeys>,
    limits: Limits,
    progress: Progress,
}

impl Inspector {
    /// An inspector without a configuration has the default limits, and verifies nothing unless keys are
    /// [given](Self::with_keys).
    #[must_use]
    pub fn new(processor: Option<Arc<Processor>>) -> Self {
        let keys = processor.as_deref().map(KnownKeys::of);
        let limits = processor
            .as_deref()
            .map(|processor| processor.limits.clone())
            .unwrap_or_default();
        Self {
            processor,
            keys,
            limits,
            progress: no_progress(),
        }
    }

    /// Verifies signatures with these keys, too.
    #[must_use]
    pub fn with_keys(mut self, given: Vec<(KeyId, VerifyingKey)>) -> Self {
        if !given.is_empty() {
            self.keys.get_or_insert_default().add(given);
        }
        self
    }

    /// Reports packets and bytes as they are read.
    #[must_use]
    pub fn with_progress(self, progress: Progress) -> Self {
        Self { progress, ..self }
    }

    fn own_role(&self) -> Option<Role> {
        self.processor.as_deref().map(|processor| processor.role)
    }

    /// Finds what a path or URL names and looks at it: an object, a whole batch by any of its objects or their
    /// common beginning, or a folder.
    ///
    /// # Errors
    /// [`Error::Bucket`] with [`BucketError::NotFound`] if nothing is there, or the bucket's own. What is wrong with
    /// the thing itself is in the report.
    pub async fn inspect(&self, target: &Target) -> Result<Report, Error> {
        let Target { bucket, key, shown } = target;
        let report = |found| Ok(Report::new(shown, found));
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

    /// All batches and objects whose names go on with a dot after `stem`.
    async fn stem(&self, bucket: &SharedBucket, stem: &str) -> Result<Vec<Finding>, Error> {
        let mut found = Vec::new();
        for name in stem_objects(bucket, stem).await? {
            found.push(match name {
                StemObject::Batch(name) => self.batch(bucket, Present::ask(bucket, name).await?).await?.finding(),
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
