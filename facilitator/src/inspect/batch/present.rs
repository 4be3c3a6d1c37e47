//! Determines which objects of a batch exist.

use crate::error::Error;
use std::collections::BTreeMap;
use tallybox_model::path::{BatchKind, BatchPart};
use tallybox_transport::{BucketError, SharedBucket};

/// An existing object.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) key: String,
    pub(crate) bytes: u64,
}

/// The existing objects of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Present {
    /// The common stem of the objects' names, and the kind of batch that the names state. `None`
    /// for a single object that was identified by its content.
    pub(crate) name: Option<(String, BatchKind)>,
    found: BTreeMap<BatchPart, Found>,
}

impl Present {
    /// Asks the bucket for all three objects of a batch.
    pub(crate) async fn find(
        bucket: &SharedBucket,
        stem: &str,
        kind: BatchKind,
    ) -> Result<Self, Error> {
        let objects = kind.objects(stem);
        let mut found = BTreeMap::new();
        for part in BatchPart::ALL {
            let key = objects.get(part).to_owned();
            match bucket.size(&key).await {
                Ok(bytes) => found.insert(part, Found { key, bytes }),
                Err(BucketError::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            };
        }
        let name = Some((stem.to_owned(), kind));
        Ok(Self { name, found })
    }

    /// Creates the value for a single object, whatever its name.
    pub(crate) fn alone(found: Found, part: BatchPart) -> Self {
        let found = BTreeMap::from([(part, found)]);
        Self { name: None, found }
    }

    pub(crate) fn get(&self, part: BatchPart) -> Option<&Found> {
        self.found.get(&part)
    }

    /// Returns the number of existing objects.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// Returns the first existing part.
    pub(super) fn first(&self) -> Option<BatchPart> {
        self.found.keys().next().copied()
    }

    /// Returns the name of the whole: the common stem of the names, or the only name.
    pub(super) fn object(&self) -> String {
        match (self.found.values().next(), &self.name) {
            (Some(only), _) if self.count() == 1 => only.key.clone(),
            (_, Some((stem, _))) => stem.clone(),
            (_, None) => String::new(),
        }
    }

    /// Returns the name of a part, whether the object exists or not.
    pub(super) fn key(&self, part: BatchPart) -> String {
        match (self.get(part), &self.name) {
            (Some(found), _) => found.key.clone(),
            (None, Some((stem, kind))) => kind.objects(stem).get(part).to_owned(),
            (None, None) => self.object(),
        }
    }
}
