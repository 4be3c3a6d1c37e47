//! `portal verify`: the offline verifier for anyone. It needs a folder with evidence and public
//! keys, no configuration, no database and no network.
//!
//! ```text
//! DIR/keys/{source}/first/{ID}.pem          the public signing keys of the first processor
//! DIR/keys/{source}/second/{ID}.pem         those of the second processor
//! DIR/evidence/{source}/…                   the evidence objects, as in the portal's bucket
//! DIR/*.csv                                 published sums, as `portal sum --format csv` (optional)
//! ```

mod published;
mod report;

pub use report::{Verified, VerifiedKey, VerifiedMetric};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt as _;
use tallybox_model::role::Role;
use tallybox_service::key_file::FileError;
use tallybox_service::progress::Progress;
use tallybox_transport::batch::TrustedKeys;
use tallybox_transport::{LocalBucket, SharedBucket};

use crate::collect::directories;
use crate::error::Error;
use crate::evidence::{Checked, EvidenceListing, EvidenceName, Fault, check_all};
use crate::keys::{PortalKeys, read_keys};
use published::Published;

/// Verifies all evidence in a folder, and compares published sums with it.
///
/// # Errors
/// [`Error::Usage`] if the folder does not have the form above; [`Error::File`] or
/// [`Error::Bucket`] if a file cannot be read.
pub async fn verify(folder: &Path, progress: &Progress) -> Result<Verified, Error> {
    let evidence = folder.join("evidence");
    if !evidence.is_dir() {
        return Err(Error::Usage(format!(
            "{}: not a folder; put the evidence objects there, and the public keys into \
             keys/SOURCE/first/ID.pem and keys/SOURCE/second/ID.pem",
            evidence.display()
        )));
    }
    let bucket: SharedBucket = Arc::new(LocalBucket::new(&evidence));
    let mut published = Published::read(folder)?;
    let mut verified = Verified::default();
    for source in bucket.list_directories("").await? {
        match source_keys(&folder.join("keys").join(&source))? {
            Some(keys) => {
                verified.add_keys(&source, &keys);
                let run = Run {
                    bucket: &bucket,
                    source: &source,
                    keys: Arc::new(keys),
                    progress,
                };
                run.verify(&mut verified, &mut published).await?;
            }
            None => verified.faults.add(&source, &Fault::Source),
        }
    }
    published.finish(&mut verified);
    Ok(verified)
}

/// The verification of one source.
struct Run<'a> {
    bucket: &'a SharedBucket,
    source: &'a str,
    keys: Arc<PortalKeys>,
    progress: &'a Progress,
}

impl Run<'_> {
    async fn verify(
        &self,
        verified: &mut Verified,
        published: &mut Published,
    ) -> Result<(), Error> {
        for (instance, aggregation) in directories(self.bucket.as_ref(), self.source).await? {
            let directory = EvidenceName::directory(self.source, &instance, &aggregation);
            let mut listing = EvidenceListing::read(self.bucket, &directory).await?;
            for key in &listing.foreign {
                verified.faults.add(key, &Fault::Name);
            }
            for (window, latest) in listing.gaps() {
                verified
                    .faults
                    .add(&format!("{directory} {window}"), &Fault::Gap { latest });
            }
            let names = std::mem::take(&mut listing.names);
            let mut groups = std::pin::pin!(check_all(self.bucket, &self.keys, names));
            while let Some(group) = groups.try_next().await? {
                for checked in group {
                    self.progress.advance(0, checked.bytes);
                    let is_latest = !listing.is_superseded(&checked.name);
                    take(self.source, checked, is_latest, verified, published);
                }
            }
        }
        Ok(())
    }
}

/// Notes a checked object. Published sums are compared with the latest version of a window.
fn take(
    source: &str,
    checked: Checked,
    is_latest: bool,
    verified: &mut Verified,
    published: &mut Published,
) {
    match checked.sum {
        Ok(sum) => {
            verified.add(source, &sum, is_latest);
            if is_latest {
                published.compare(&checked.name, &sum, &mut verified.faults);
            }
        }
        Err(fault) => verified.faults.add(&checked.name.to_string(), &fault),
    }
}

/// Reads the keys of a source; `None` if it has no folder of keys.
fn source_keys(folder: &Path) -> Result<Option<PortalKeys>, Error> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let read = |writer: Role| -> Result<TrustedKeys, Error> {
        let keys = key_files(&folder.join(writer.to_string()))?;
        read_keys(keys.into_iter())
    };
    Ok(Some(PortalKeys::new([
        read(Role::First)?,
        read(Role::Second)?,
    ])))
}

/// Returns the key files in a folder: the identifier is the name without `.pem`.
fn key_files(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let failed = |source| FileError::unreadable(folder, source);
    let mut keys = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        if let Some(id) = name.and_then(|name| name.strip_suffix(".pem")) {
            keys.insert(id.to_owned(), file.clone());
        }
    }
    if keys.is_empty() {
        return Err(Error::Usage(format!(
            "{}: contains no public key, ID.pem",
            folder.display()
        )));
    }
    Ok(keys)
}
