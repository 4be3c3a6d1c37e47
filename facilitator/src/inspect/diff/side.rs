//! Determines the kind of each side of a comparison.

use super::FileFacts;
use crate::error::Error;
use crate::inspect::batch::Batch;
use crate::inspect::header::record_in;
use crate::inspect::object::BEGINNING_BYTES;
use crate::inspect::present::{Found, Present};
use crate::inspect::stem::{StemObject, stem_objects};
use crate::inspect::{Facts, Family, Inspector, ObjectName, OwnObject, Part, Target, not_found};
use crate::sum::FixedSumPart;
use tallybox_model::digest::Digest;
use tallybox_transport::{BucketError, digest};

/// A side of a comparison.
pub(super) enum Side {
    Batch(Box<Batch>),
    Fixed(Box<FixedSumPart>, FileFacts),
    Object(Found, FileFacts),
}

impl Side {
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Batch(batch) => batch.facts.family.map_or("signature", Family::label),
            Self::Fixed(..) => "fixed sum part",
            Self::Object(..) => "object",
        }
    }
}

impl Inspector {
    /// Resolves a target: a batch by any of its objects or their common prefix, a fixed sum part,
    /// or any other object.
    pub(super) async fn side(&self, target: &Target) -> Result<Side, Error> {
        let Target { bucket, key, .. } = target;
        if let Some(name) = ObjectName::parse(key) {
            let present = Present::ask(bucket, name).await?;
            if present.all().next().is_some() {
                return Ok(Side::Batch(Box::new(self.batch(bucket, present).await?)));
            }
        }
        let bytes = match bucket.size(key).await {
            Ok(bytes) => bytes,
            Err(BucketError::NotFound { .. } | BucketError::InvalidKey { .. }) => {
                return self.stem_side(target).await;
            }
            Err(error) => return Err(error.into()),
        };
        let found = Found {
            key: key.clone(),
            bytes,
        };
        let head = bucket.get_range(key, 0..BEGINNING_BYTES.min(bytes)).await?;
        if let Ok(Some(record)) = record_in(&head, &self.limits) {
            let part = Family::from_record(record).map_or(Part::Signature, |(_, part)| part);
            return Ok(Side::Batch(Box::new(
                self.batch(bucket, Present::alone(found, part)).await?,
            )));
        }
        let (sha256, bytes) = digest(&**bucket, key).await?;
        let file = FileFacts {
            bytes,
            sha256: Digest(sha256),
        };
        if matches!(OwnObject::parse(key), Some((OwnObject::Fixed(_), _)))
            && let Facts::Fixed(fixed) = self.object(bucket, key, bytes).await?.facts
        {
            return Ok(Side::Fixed(fixed, file));
        }
        Ok(Side::Object(found, file))
    }

    async fn stem_side(&self, target: &Target) -> Result<Side, Error> {
        let Target { bucket, key, .. } = target;
        let mut found = stem_objects(bucket, key).await?;
        let batches = found.extract_if(.., |object| matches!(object, StemObject::Batch(_)));
        let batches: Vec<StemObject> = batches.collect();
        match <[StemObject; 1]>::try_from(batches) {
            Ok([StemObject::Batch(name)]) => {
                let present = Present::ask(bucket, name).await?;
                Ok(Side::Batch(Box::new(self.batch(bucket, present).await?)))
            }
            Err(several) if several.len() > 1 => {
                let problem = format!(
                    "{} is the common prefix of several batches; give the path of one of them",
                    target.shown
                );
                Err(Error::Setting(problem))
            }
            _ => Err(not_found(bucket, key)),
        }
    }
}
