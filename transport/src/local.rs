//! A directory as a bucket: durable, atomic, create-if-absent.
//!
//! This module does not use `object_store`'s `LocalFileSystem` (0.14). That type can create an
//! object conditionally only from bytes in memory, its streamed uploads replace existing objects,
//! files left by a crash are never removed, and its listings are unordered. Here, a file is staged
//! under a hidden name next to its target, synced, and renamed to a name that has to be free; then
//! the directory is synced.

mod stage;
mod walk;

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use tallybox_durable::{Directories, SharedDisk, SystemDisk};
use tokio::task::spawn_blocking;

use crate::key::{check_key, check_prefix};
use crate::{Bucket, BucketError, Entry, ListRange, Object, Upload};

use stage::LocalUpload;

/// Number of bytes read at a time.
const CHUNK_BYTES: u64 = 512 * 1024;

/// Number of entries by which a listing may run ahead of its reader.
const LISTED_AHEAD: usize = 256;

/// A bucket in a directory. Symbolic links are followed, as by the operating system.
#[derive(Debug, Clone)]
pub struct LocalBucket {
    root: PathBuf,
    location: String,
    directories: Arc<Directories>,
}

impl LocalBucket {
    /// Creates the bucket in the directory `root`. The first write creates the directory if it does
    /// not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self::on_disk(Arc::new(SystemDisk), root)
    }

    /// Creates the bucket like [`Self::new`], but with the given implementation of durable file
    /// operations.
    pub fn on_disk(disk: SharedDisk, root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let location = root.display().to_string();
        let directories = Arc::new(Directories::new(disk));
        Self {
            root,
            location,
            directories,
        }
    }

    fn path(&self, key: &str) -> Result<PathBuf, BucketError> {
        check_key(key)?;
        Ok(self.root.join(key))
    }

    /// Runs file operations on a blocking thread and attributes their errors to the object `key`.
    async fn blocking<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, BucketError> {
        blocking(&self.location, key, work).await
    }
}

#[async_trait]
impl Bucket for LocalBucket {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        let path = self.path(key)?;
        let (file, size) = self.blocking(key, move || open_object(&path)).await?;
        Ok(Object {
            size,
            body: body(file, size, self.location.clone(), key.to_owned()),
        })
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        let path = self.path(key)?;
        self.blocking(key, move || {
            let (mut file, size) = open_object(&path)?;
            let end = range.end.min(size);
            let length = end.saturating_sub(range.start);
            file.seek(SeekFrom::Start(range.start.min(size)))?;
            read_chunk(&mut file, length)
        })
        .await
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        let path = self.path(key)?;
        self.blocking(key, move || object_size(&path)).await
    }

    async fn create(
        &self,
        key: &str,
        _size_hint: Option<u64>,
    ) -> Result<Box<dyn Upload>, BucketError> {
        let target = self.path(key)?;
        let directories = Arc::clone(&self.directories);
        let upload = {
            let (location, key) = (self.location.clone(), key.to_owned());
            self.blocking(&key.clone(), move || {
                LocalUpload::start(directories, target, location, key)
            })
            .await
            .map_err(|error| match error {
                // A missing mount is not a fault of the key.
                BucketError::NotFound { key, .. } | BucketError::InvalidKey { key, .. } if !self.root.is_dir() => {
                    let reason =
                        "the bucket's directory does not exist and cannot be created; check that it is mounted";
                    BucketError::unavailable(&self.location, &key, reason)
                }
                // Creating a file looks up no object, so "not found" means that a component of the
                // key is an object.
                BucketError::NotFound { key, .. } => BucketError::InvalidKey {
                    key,
                    reason: "a part of it is the key of an object",
                },
                other => other,
            })?
        };
        Ok(Box::new(upload))
    }

    async fn list(
        &self,
        prefix: &str,
        range: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
        let prefix = check_prefix(prefix)?.to_owned();
        let (root, location) = (self.root.clone(), self.location.clone());
        let (sender, receiver) = tokio::sync::mpsc::channel(LISTED_AHEAD);
        spawn_blocking(move || {
            // The send fails if the reader was dropped. The walk ends then.
            let walked = walk::walk(&root, &prefix, &range, &mut |entry| {
                sender.blocking_send(Ok(entry)).is_ok()
            });
            if let Err(error) = walked {
                let _ =
                    sender.blocking_send(Err(BucketError::from_file(&location, &prefix, error)));
            }
        });
        Ok(stream::unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await?, receiver))
        })
        .boxed())
    }

    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        let directory = check_prefix(prefix)?.to_owned();
        let root = self.root.clone();
        self.blocking(prefix, move || walk::directories(&root, &directory))
            .await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        let path = self.path(key)?;
        let directories = Arc::clone(&self.directories);
        self.blocking(key, move || {
            match object_size(&path).and_then(|_| fs::remove_file(&path)) {
                Ok(()) => stage::sync_parent(directories.disk(), &path),
                Err(error) if is_absent(&error) => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn check_there(&self) -> Result<(), BucketError> {
        if self.root.is_dir() {
            return Ok(());
        }
        let reason = "the bucket's directory does not exist; check that it is mounted";
        Err(BucketError::unavailable(&self.location, "", reason))
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    fn stores_empty_objects(&self) -> bool {
        true
    }
}

async fn blocking<T: Send + 'static>(
    location: &str,
    key: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BucketError> {
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| BucketError::from_file(location, key, error)),
        Err(stopped) => Err(BucketError::unavailable(location, key, stopped)),
    }
}

/// Returns the length of the object at this path. Only a regular file is an object. The check
/// precedes opening, because opening a pipe would wait for its writer.
fn object_size(path: &Path) -> io::Result<u64> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() {
        Ok(metadata.len())
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn open_object(path: &Path) -> io::Result<(File, u64)> {
    object_size(path)?;
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Reads exactly `length` bytes into memory that is not zeroed first.
fn read_chunk(file: &mut File, length: u64) -> io::Result<Bytes> {
    let mut chunk = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
    Read::by_ref(file).take(length).read_to_end(&mut chunk)?;
    if chunk.len() as u64 != length {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file became shorter while it was read",
        ));
    }
    Ok(chunk.into())
}

fn body(
    file: File,
    size: u64,
    location: String,
    key: String,
) -> BoxStream<'static, Result<Bytes, BucketError>> {
    stream::try_unfold(
        (file, size, location, key),
        |(mut file, left, location, key)| async move {
            if left == 0 {
                return Ok(None);
            }
            let length = left.min(CHUNK_BYTES);
            let (chunk, file) = blocking(&location, &key, move || {
                Ok((read_chunk(&mut file, length)?, file))
            })
            .await?;
            Ok(Some((chunk, (file, left - length, location, key))))
        },
    )
    .boxed()
}

#[cfg(test)]
mod power_cuts;
#[cfg(test)]
mod tests;
