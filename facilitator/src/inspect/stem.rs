//! Lists the objects behind a common prefix of names.

use super::name::ObjectName;
use super::own_object::OwnObject;
use crate::error::Error;
use futures::TryStreamExt as _;
use std::collections::BTreeSet;
use tallybox_transport::{ListRange, SharedBucket};

/// A batch or another object behind a common prefix.
pub(super) enum StemObject {
    Batch(ObjectName),
    Other(String, u64),
}

/// Lists the batches, and other objects of the own bucket, whose names start with `stem` and a dot.
pub(super) async fn stem_objects(
    bucket: &SharedBucket,
    stem: &str,
) -> Result<Vec<StemObject>, Error> {
    let Some(last) = stem.rsplit('/').next().filter(|last| !last.is_empty()) else {
        return Ok(Vec::new());
    };
    let folder = stem[..stem.len() - last.len()].trim_end_matches('/');
    // `/` is the character after `.`, so this range contains exactly the names that continue with a
    // dot.
    let range = ListRange {
        start_at: Some(format!("{stem}.")),
        end_before: Some(format!("{stem}/")),
    };
    let mut listing = bucket.list(folder, range).await?;
    let mut found = Vec::new();
    let mut batches = BTreeSet::new();
    while let Some(entry) = listing.try_next().await? {
        match ObjectName::parse(&entry.key).filter(|name| name.stem == stem) {
            Some(name) if batches.insert((name.family, name.writer)) => {
                found.push(StemObject::Batch(name))
            }
            None if OwnObject::parse(&entry.key).is_some() => {
                found.push(StemObject::Other(entry.key, entry.size))
            }
            _ => {}
        }
    }
    Ok(found)
}
