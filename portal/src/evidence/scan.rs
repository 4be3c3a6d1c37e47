//! The verification of all evidence in a bucket: in parallel, in bounded memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tallybox_model::time::Window;
use tallybox_transport::{BucketError, ListRange, SharedBucket, read_all};

use super::MAX_EVIDENCE_BYTES;
use super::check::{Fault, check};
use super::name::EvidenceName;
use crate::error::Error;
use crate::keys::PortalKeys;
use crate::pair::WindowSum;

/// Number of objects that one thread verifies at a time.
const OBJECTS: usize = 32;
/// Total size of these objects in bytes; a larger object is alone.
const BYTES: u64 = 2 << 20;
/// Number of requests of one group at the same time.
const REQUESTS: usize = 8;

/// An evidence object that was checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The name.
    pub(crate) name: EvidenceName,
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// Its sum, or what is wrong with it.
    pub(crate) sum: Result<WindowSum, Fault>,
}

/// The objects in a directory of the evidence.
#[derive(Debug, Default)]
pub(crate) struct EvidenceListing {
    /// The evidence objects, with their sizes.
    pub(crate) names: Vec<(EvidenceName, u64)>,
    /// The keys of other objects.
    pub(crate) foreign: Vec<String>,
    /// The latest version of each window.
    latest: BTreeMap<Window, u32>,
    /// Number of versions of each window.
    versions: BTreeMap<Window, u32>,
}

impl EvidenceListing {
    /// Lists a directory.
    pub(crate) async fn read(bucket: &SharedBucket, directory: &str) -> Result<Self, BucketError> {
        let mut listing = Self::default();
        let mut entries = bucket.list(directory, ListRange::default()).await?;
        while let Some(entry) = entries.try_next().await? {
            match EvidenceName::parse(&entry.key) {
                Some(name) => {
                    let latest = listing.latest.entry(name.window).or_default();
                    *latest = (*latest).max(name.version);
                    *listing.versions.entry(name.window).or_default() += 1;
                    listing.names.push((name, entry.size));
                }
                None => listing.foreign.push(entry.key),
            }
        }
        Ok(listing)
    }

    /// Returns whether a later version replaces this one.
    pub(crate) fn is_superseded(&self, name: &EvidenceName) -> bool {
        let latest = self.latest.get(&name.window);
        latest.is_some_and(|latest| name.version < *latest)
    }

    /// Returns the windows of which an earlier version is missing.
    pub(crate) fn gaps(&self) -> Vec<(Window, u32)> {
        let versions = self.versions.iter().zip(self.latest.values());
        let gaps = versions.filter(|((_, found), latest)| **found != **latest + 1);
        gaps.map(|((window, _), latest)| (*window, *latest))
            .collect()
    }
}

/// Reads and checks evidence objects, in any order, on as many threads as there are cores.
pub(crate) fn check_all(
    bucket: &SharedBucket,
    keys: &Arc<PortalKeys>,
    names: Vec<(EvidenceName, u64)>,
) -> impl Stream<Item = Result<Vec<Checked>, Error>> + use<> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let (bucket, keys) = (bucket.clone(), Arc::clone(keys));
    let groups = stream::iter(grouped(names));
    groups
        .map(move |group| check_group(bucket.clone(), Arc::clone(&keys), group))
        // One group more than threads is being read.
        .buffer_unordered(threads + 1)
}

/// Divides objects into groups of limited size.
fn grouped(names: Vec<(EvidenceName, u64)>) -> Vec<Vec<(EvidenceName, u64)>> {
    let mut groups = Vec::new();
    let mut group = Vec::new();
    let mut bytes = 0;
    for (name, size) in names {
        if group.len() >= OBJECTS || (bytes + size > BYTES && !group.is_empty()) {
            groups.push(std::mem::take(&mut group));
            bytes = 0;
        }
        bytes += size;
        group.push((name, size));
    }
    groups.push(group);
    groups
}

async fn check_group(
    bucket: SharedBucket,
    keys: Arc<PortalKeys>,
    group: Vec<(EvidenceName, u64)>,
) -> Result<Vec<Checked>, Error> {
    let objects: Vec<(EvidenceName, u64, Bytes)> = stream::iter(group)
        .map(|(name, bytes)| {
            let bucket = &bucket;
            async move {
                let key = name.to_string();
                let object = read_all(bucket.as_ref(), &key, MAX_EVIDENCE_BYTES).await?;
                Ok::<_, BucketError>((name, bytes, object))
            }
        })
        .buffered(REQUESTS)
        .try_collect()
        .await?;
    let checked = tokio::task::spawn_blocking(move || {
        let check = |(name, bytes, object): (EvidenceName, u64, Bytes)| Checked {
            sum: check(&name, &object, &keys),
            bytes,
            name,
        };
        objects.into_iter().map(check).collect()
    });
    Ok(checked.await?)
}
