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
//! Without a configuration everything works but verification. No secret is ever shown: no share, no message, no
//! evaluation point, no private key.

mod batch;
pub mod diff;
mod folder;
mod header;
mod key_file;
mod manifest;
mod name;
mod packets;
mod prepared;
mod report;
mod sheet;
mod show;
mod signer;
mod target;

pub use folder::{FolderBatches, FolderFacts};
pub use header::{HeaderFacts, SumFacts};
pub use key_file::{AnyKey, Encoding, KeyFacts};
pub use manifest::{ManifestFacts, ManifestKey};
pub use name::{Family, ObjectName, OwnObject, Part, Place};
pub use packets::{Distinct, PacketDetails, PacketFacts, ShareFacts};
pub use prepared::{OpenedFacts, PreparedFacts};
pub use report::{BatchFacts, Facts, Finding, Form, Problem, Report, SignatureFacts};
pub use signer::{Party, Signer, Verification};
pub use target::Target;

use crate::aggregate::FixedSumPart;
use crate::error::Error;
use crate::intake::{Progress, no_progress};
use crate::processor::Processor;
use batch::{Found, Present};
use bytes::Bytes;
use futures::TryStreamExt as _;
use signer::KnownKeys;
use std::sync::Arc;
use tallybox_model::avro::{Limits, RecordKind};
use tallybox_model::role::Role;
use tallybox_transport::{BucketError, ListRange, SharedBucket, read_all};
use zeroize::Zeroizing;

/// As much of a file as is looked at to find out what it is.
const BEGINNING: u64 = 128 << 10;
/// The longest text (JSON, key) that is read.
const TEXT_BYTES: u64 = 64 << 20;

/// Looks at things, with the keys and limits of a configuration if there is one.
pub struct Inspector {
    processor: Option<Arc<Processor>>,
    keys: Option<KnownKeys>,
    limits: Limits,
    progress: Progress,
}

impl Inspector {
    /// An inspector without a configuration has the default limits and verifies nothing.
    #[must_use]
    pub fn new(processor: Option<Arc<Processor>>) -> Self {
        let keys = processor.as_deref().map(KnownKeys::of);
        let limits = processor.as_deref().map(|processor| processor.limits.clone()).unwrap_or_default();
        Self { processor, keys, limits, progress: no_progress() }
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

    /// An object whose name is none of a batch's: by its content.
    async fn object(&self, bucket: &SharedBucket, key: &str, bytes: u64) -> Result<Finding, Error> {
        let own = OwnObject::parse(key).map(|(own, _)| own);
        let beginning = bucket.get_range(key, 0..BEGINNING.min(bytes)).await?;
        if beginning.starts_with(b"Obj\x01") {
            return self.container(bucket, key, bytes, &beginning).await;
        }
        if beginning.starts_with(b"TALLYPB1") {
            let named = match own {
                Some(OwnObject::Prepared { batch, sealing_key }) => Some((batch, sealing_key)),
                _ => None,
            };
            return self.prepared(bucket, key, bytes, named).await;
        }
        let text = |text: Option<&str>| Facts::Text { bytes, text: text.map(str::to_owned) };
        match own {
            Some(OwnObject::Point) => {
                let mut finding = Finding::new("pinned-point", "evaluation point of a packet key", key, text(None));
                finding.notes.push("the point itself is not shown: clients must not learn it".to_owned());
                Ok(finding)
            }
            Some(OwnObject::FirstSeen) => {
                let date = String::from_utf8_lossy(&beginning[..beginning.len().min(80)]).into_owned();
                Ok(Finding::new("first-seen-date", "date at which a batch was first seen", key, text(Some(&date))))
            }
            Some(OwnObject::Prepared { .. }) => {
                Ok(unrecognised(key, bytes, "named as a prepared batch, but does not begin like one".to_owned()))
            }
            _ if bytes == 0 => Ok(Finding::new("empty", "empty file", key, text(None))),
            _ if bytes > TEXT_BYTES => Ok(unrecognised(key, bytes, "too large for a text".to_owned())),
            _ => {
                let file = Zeroizing::new(read_all(&**bucket, key, TEXT_BYTES).await?.to_vec());
                Ok(self.text(key, &file))
            }
        }
    }

    /// A container file: by the record that its schema names.
    async fn container(
        &self,
        bucket: &SharedBucket,
        key: &str,
        bytes: u64,
        beginning: &Bytes,
    ) -> Result<Finding, Error> {
        let part = match header::record_in(beginning, &self.limits) {
            Ok(Some(RecordKind::BatchSignature)) => Part::Signature,
            Ok(Some(record)) => Family::of_record(record).map_or(Part::Packets, |(_, part)| part),
            Ok(None) => return Ok(unrecognised(key, bytes, "an Avro file of a record that is none of ours".to_owned())),
            Err(error) => {
                let facts = Facts::Text { bytes, text: None };
                let problems = vec![Problem::rejected("malformed", key, format!("its beginning: {error}"))];
                return Ok(Finding { problems, ..Finding::new("container", "Avro container file", key, facts) });
            }
        };
        let found = Found { key: key.to_owned(), bytes };
        Ok(self.batch(bucket, Present::alone(found, part)).await?.finding())
    }

    /// A text: JSON or a key.
    fn text(&self, key: &str, file: &[u8]) -> Finding {
        let bytes = file.len() as u64;
        let Ok(text) = std::str::from_utf8(file) else {
            return unrecognised(key, bytes, "neither a container file, nor a prepared batch, nor text".to_owned());
        };
        if text.trim_start().starts_with('{') {
            return self.json(key, file);
        }
        match key_file::inspect(key, text, self.keys.as_ref()) {
            Ok(finding) => finding,
            Err(_) if key.ends_with(".yaml") || key.ends_with(".yml") => {
                let message = "perhaps a configuration: `facilitator --config FILE check-config` reads it".to_owned();
                unrecognised(key, bytes, message)
            }
            Err(error) => unrecognised(key, bytes, format!("a text, but neither JSON nor a key: {error}")),
        }
    }

    fn json(&self, key: &str, file: &[u8]) -> Finding {
        let bytes = file.len() as u64;
        let document: serde_json::Value = match serde_json::from_slice(file) {
            Ok(document) => document,
            Err(error) => return unrecognised(key, bytes, format!("begins like JSON, but is none: {error}")),
        };
        if let Some(finding) = manifest::inspect(key, &document, file, self.keys.as_ref()) {
            return finding;
        }
        let is_fixed = matches!(OwnObject::parse(key), Some((OwnObject::Fixed(_), _)));
        match serde_json::from_value::<FixedSumPart>(document) {
            Ok(fixed) => {
                let title = "what is fixed of a sum part before it is published";
                Finding::new("fixed-sum-part", title, key, Facts::Fixed(Box::new(fixed)))
            }
            Err(error) if is_fixed => unrecognised(key, bytes, format!("named as a fixed sum part: {error}")),
            Err(_) => unrecognised(key, bytes, "JSON, but no manifest and no fixed sum part".to_owned()),
        }
    }
}

/// What a common beginning of names leads to.
enum StemObject {
    Batch(ObjectName),
    Other(String, u64),
}

/// The batches, and other objects of a processor's, whose names go on with a dot after `stem`.
async fn stem_objects(bucket: &SharedBucket, stem: &str) -> Result<Vec<StemObject>, Error> {
    let Some(last) = stem.rsplit('/').next().filter(|last| !last.is_empty()) else { return Ok(Vec::new()) };
    let folder = stem[..stem.len() - last.len()].trim_end_matches('/');
    // `/` is the character after `.`, so this is exactly what goes on with a dot.
    let range = ListRange { start_at: Some(format!("{stem}.")), end_before: Some(format!("{stem}/")) };
    let mut listing = bucket.list(folder, range).await?;
    let mut found = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(entry) = listing.try_next().await? {
        match ObjectName::parse(&entry.key).filter(|name| name.stem == stem) {
            Some(name) => {
                if seen.insert((name.family, name.writer)) {
                    found.push(StemObject::Batch(name));
                }
            }
            None if OwnObject::parse(&entry.key).is_some() => found.push(StemObject::Other(entry.key, entry.size)),
            None => {}
        }
    }
    Ok(found)
}

fn not_found(bucket: &SharedBucket, key: &str) -> Error {
    let key = if key.is_empty() { "at all".to_owned() } else { key.to_owned() };
    BucketError::NotFound { key, bucket: bucket.location() }.into()
}

fn unrecognised(key: &str, bytes: u64, message: String) -> Finding {
    let facts = Facts::Text { bytes, text: None };
    let problems = vec![Problem::rejected("unrecognised", key, message)];
    Finding { problems, ..Finding::new("unrecognised", "not recognised", key, facts) }
}
