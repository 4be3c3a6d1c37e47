//! Determines which objects of a batch exist.

use super::name::{ObjectName, Part};
use crate::error::Error;
use tallybox_transport::{BucketError, SharedBucket};

/// An existing object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) key: String,
    pub(super) bytes: u64,
}

/// The existing objects of a batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Present {
    pub(super) name: Option<ObjectName>,
    pub(super) header: Option<Found>,
    pub(super) packets: Option<Found>,
    pub(super) signature: Option<Found>,
}

impl Present {
    /// Asks the bucket for all three objects of a batch.
    pub(super) async fn ask(bucket: &SharedBucket, name: ObjectName) -> Result<Self, Error> {
        let objects = name.objects();
        let find = async |key: String| match bucket.size(&key).await {
            Ok(bytes) => Ok(Some(Found { key, bytes })),
            Err(BucketError::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::from(error)),
        };
        Ok(Self {
            name: Some(name),
            header: find(objects.header).await?,
            packets: find(objects.packets).await?,
            signature: find(objects.signature).await?,
        })
    }

    /// Creates the value for a single object, whatever its name.
    pub(super) fn alone(found: Found, part: Part) -> Self {
        let mut present = Self::default();
        *match part {
            Part::Header => &mut present.header,
            Part::Packets => &mut present.packets,
            Part::Signature => &mut present.signature,
        } = Some(found);
        present
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Found> {
        [&self.header, &self.packets, &self.signature]
            .into_iter()
            .flatten()
    }

    /// Returns the name of the whole: the common prefix of the names, or the only name.
    pub(super) fn object(&self) -> String {
        let stem = self.name.as_ref().map(|name| name.stem.clone());
        let mut all = self.all();
        match (all.next(), all.next()) {
            (Some(only), None) => only.key.clone(),
            _ => stem.unwrap_or_default(),
        }
    }

    /// Returns the name of an object, whether the object exists or not.
    pub(super) fn key(&self, part: Part) -> String {
        let found = match part {
            Part::Header => &self.header,
            Part::Packets => &self.packets,
            Part::Signature => &self.signature,
        };
        match (found, &self.name) {
            (Some(found), _) => found.key.clone(),
            (None, Some(name)) => {
                let objects = name.objects();
                match part {
                    Part::Header => objects.header,
                    Part::Packets => objects.packets,
                    Part::Signature => objects.signature,
                }
            }
            (None, None) => self.object(),
        }
    }
}
