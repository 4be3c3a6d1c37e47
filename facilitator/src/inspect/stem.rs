//! The common beginning of names: what goes on behind it.

use super::name::ObjectName;
use super::own_object::OwnObject;
use crate::error::Error;
use futures::TryStreamExt as _;
use std::collections::BTreeSet;
use tallybox_transport::{ListRange, SharedBucket};

/// What a common beginning of names leads to.
pub(super) enum StemObject {
    Batch(ObjectName),
    Other(String, u64),
}

/// The batches, and other objects of a processor's, whose names go on with a dot after `stem`.
pub(super) async fn stem_objects(bucket: &SharedBucket, stem: &str) -> Result<Vec<StemObject>, Error> {
    let Some(last) = stem.rsplit('/').next().filter(|last| !last.is_empty()) else {
        return Ok(Vec::new());
    };
    let folder = stem[..stem.len() - last.len()].trim_end_matches('/');
    // `/` is the character after `.`, so this is exactly what goes on with a dot.
    let range = ListRange {
        start_at: Some(format!("{stem}.")),
        end_before: Some(format!("{stem}/")),
    };
    let mut listing = bucket.list(folder, range).await?;
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    while let Some(entry) = listing.try_next().await? {
        match ObjectName::parse(&entry.key).filter(|name| name.stem == stem) {
            Some(name) if seen.insert((name.family, name.writer)) => found.push(StemObject::Batch(name)),
            None if OwnObject::parse(&entry.key).is_some() => found.push(StemObject::Other(entry.key, entry.size)),
            _ => {}
        }
    }
    Ok(found)
}
