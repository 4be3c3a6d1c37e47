//! Determines which batches and objects a path refers to, and reads them.

use super::batch::{Batch, Found, Present};
use super::inspector::Inspector;
use super::report::{ObjectFinding, ObjectProblem};
use crate::error::Error;
use futures::TryStreamExt as _;
use std::collections::BTreeSet;
use tallybox_model::path::{BatchKind, OwnObject, possible_keys};
use tallybox_transport::{BucketError, ListRange, SharedBucket};

/// A batch or another object.
pub(super) enum Located {
    Batch(Present),
    Object(Found),
}

impl Located {
    /// Finds the batch or object with this key. If there is none, finds all whose names start with
    /// the key and a dot. Returns nothing if the key is a folder, or nothing exists there.
    pub(super) async fn find(bucket: &SharedBucket, key: &str) -> Result<Vec<Self>, Error> {
        if let Some((stem, kind, _)) = BatchKind::split(key) {
            let present = Present::find(bucket, stem, kind).await?;
            if present.count() > 0 {
                return Ok(vec![Self::Batch(present)]);
            }
        } else if !key.is_empty() {
            match bucket.size(key).await {
                Ok(bytes) => {
                    let key = key.to_owned();
                    return Ok(vec![Self::Object(Found { key, bytes })]);
                }
                Err(BucketError::NotFound { .. } | BucketError::InvalidKey { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Self::with_stem(bucket, key).await
    }

    /// Lists the batches, and other objects of the own bucket, whose names start with `stem` and a
    /// dot.
    async fn with_stem(bucket: &SharedBucket, stem: &str) -> Result<Vec<Self>, Error> {
        if stem.is_empty() || stem.ends_with('/') {
            return Ok(Vec::new());
        }
        let folder = stem.rsplit_once('/').map_or("", |(folder, _)| folder);
        // `/` is the character after `.`, so this range contains exactly the names that continue
        // with a dot.
        let range = ListRange {
            start_at: Some(format!("{stem}.")),
            end_before: Some(format!("{stem}/")),
        };
        let mut listing = bucket.list(folder, range).await?;
        let mut found = Vec::new();
        let mut kinds = BTreeSet::new();
        while let Some(entry) = listing.try_next().await? {
            let batch = BatchKind::split(&entry.key).filter(|(own_stem, ..)| *own_stem == stem);
            if let Some((_, kind, _)) = batch {
                if kinds.insert(kind) {
                    found.push(Self::Batch(Present::find(bucket, stem, kind).await?));
                }
            } else if own_object(&entry.key).is_some() {
                let bytes = entry.size;
                let key = entry.key;
                found.push(Self::Object(Found { key, bytes }));
            }
        }
        Ok(found)
    }
}

/// What was read at a path.
pub(super) enum Item {
    Batch(Box<Batch>),
    Object(ObjectFinding),
}

impl Item {
    pub(super) fn finding(self) -> ObjectFinding {
        match self {
            Self::Batch(batch) => batch.finding(),
            Self::Object(finding) => finding,
        }
    }

    pub(super) fn problems(&mut self) -> &mut Vec<ObjectProblem> {
        match self {
            Self::Batch(batch) => &mut batch.problems,
            Self::Object(finding) => &mut finding.problems,
        }
    }
}

impl Inspector {
    pub(super) async fn read(&self, bucket: &SharedBucket, at: Located) -> Result<Item, Error> {
        match at {
            Located::Batch(present) => {
                let batch = self.batch(bucket, present).await?;
                Ok(Item::Batch(Box::new(batch)))
            }
            Located::Object(found) => self.object(bucket, &found).await,
        }
    }
}

/// Parses the name of an object of an own bucket that may begin anywhere in a path.
pub(super) fn own_object(path: &str) -> Option<OwnObject> {
    possible_keys(path).find_map(OwnObject::parse)
}

/// Returns the error for a key at which nothing exists.
pub(super) fn not_found(bucket: &SharedBucket, key: &str) -> Error {
    let key = if key.is_empty() { "at all" } else { key };
    BucketError::NotFound {
        key: key.to_owned(),
        bucket: bucket.location(),
    }
    .into()
}
