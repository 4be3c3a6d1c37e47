//! Writing a file so that it is either complete and durable, or absent.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use tallybox_durable::{Directories, Disk};
use tempfile::NamedTempFile;

use super::blocking;
use crate::key::STAGING_PREFIX;
use crate::{BucketError, Created, Upload};

/// Age from which a staged file counts as abandoned, on file systems without locks.
const ABANDONED_AGE: Duration = Duration::from_secs(3600);

/// Number of attempts with a new name, if a sweep removes the staged file before it is locked.
const STAGE_ATTEMPTS: usize = 16;

/// A file that is being uploaded into a directory.
pub(super) struct LocalUpload {
    /// The staged file; `None` after a write has failed or was cancelled.
    staged: Option<NamedTempFile>,
    directories: Arc<Directories>,
    target: PathBuf,
    location: String,
    key: String,
}

impl LocalUpload {
    /// Opens a staged file next to the target.
    pub(super) fn start(
        directories: Arc<Directories>,
        target: PathBuf,
        location: String,
        key: String,
    ) -> io::Result<Self> {
        let directory = target.parent().ok_or(io::ErrorKind::InvalidFilename)?;
        if directories.prepare(directory)? {
            sweep(directory);
        }
        let staged = Some(stage(directory)?);
        Ok(Self {
            staged,
            directories,
            target,
            location,
            key,
        })
    }

    fn new_file(&mut self) -> Result<NamedTempFile, BucketError> {
        self.staged.take().ok_or_else(|| {
            BucketError::unavailable(
                &self.location,
                &self.key,
                "an earlier write of this upload failed",
            )
        })
    }
}

#[async_trait]
impl Upload for LocalUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        let mut staged = self.new_file()?;
        let written = blocking(&self.location, &self.key, move || {
            staged.as_file_mut().write_all(&bytes)?;
            Ok(staged)
        });
        self.staged = Some(written.await?);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Created, BucketError> {
        let staged = self.new_file()?;
        let target = self.target.clone();
        let directories = Arc::clone(&self.directories);
        let publishing = move || publish(directories.disk(), staged, &target);
        let created = blocking(&self.location, &self.key, publishing).await;
        created.map_err(|error| match error {
            // The staged file existed before, so this error does not mean that the object is
            // absent.
            BucketError::NotFound { .. } => BucketError::unavailable(
                &self.location,
                &self.key,
                "the directory was removed while the object was written",
            ),
            other => other,
        })
    }

    async fn abort(mut self: Box<Self>) {
        if let Some(staged) = self.staged.take() {
            // Closing removes the file. If that fails, a later writer's sweep removes it.
            let _ = blocking(&self.location, &self.key, move || staged.close()).await;
        }
    }
}

/// Creates a hidden file that is locked for the lifetime of its writer.
pub(super) fn stage(directory: &Path) -> io::Result<NamedTempFile> {
    for _ in 0..STAGE_ATTEMPTS {
        let staged = tallybox_durable::stage(directory, STAGING_PREFIX)?;
        match staged.as_file().try_lock() {
            // A concurrent sweep may remove the file between its creation and the lock. Then the
            // name no longer exists.
            Ok(()) if staged.path().exists() => return Ok(staged),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(_)) => return Ok(staged),
        }
    }
    Err(io::Error::other(
        "staged files are repeatedly removed by another process",
    ))
}

/// Renames the staged file to its target unless the target exists, and makes both durable.
fn publish(disk: &dyn Disk, staged: NamedTempFile, target: &Path) -> io::Result<Created> {
    disk.sync_file(staged.as_file())?;
    let created = match staged.persist_noclobber(target) {
        Ok(_) => Created::New,
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {
            super::object_size(target).map_err(|_| io::Error::from(io::ErrorKind::IsADirectory))?;
            Created::Exists
        }
        Err(failed) => return Err(failed.error),
    };
    // Also for an existing object: its writer may have died before this sync.
    sync_parent(disk, target)?;
    Ok(created)
}

/// Makes the entries of the directory that contains this path durable.
pub(super) fn sync_parent(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |parent| disk.sync_directory(parent))
}

/// Removes staged files whose writer has died. Best effort: a remaining file is hidden, and a later
/// sweep removes it.
fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let staged = entry
            .file_name()
            .to_string_lossy()
            .starts_with(STAGING_PREFIX);
        if staged
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && let Some(_locked) = left_behind(&entry.path())
        {
            // Still locked, so a writer that has just created the file finds it locked or removed,
            // and never loses it later.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Returns the file if its writer has died, locked for the lifetime of the returned value. A writer
/// holds a lock on its staged file, and the operating system releases the lock when the writer
/// dies. On file systems without locks, the file's age decides.
pub(super) fn left_behind(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    let gone = match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => is_old(&file),
    };
    gone.then_some(file)
}

pub(super) fn is_old(file: &File) -> bool {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| {
        SystemTime::now()
            .duration_since(modified)
            .is_ok_and(|age| age > ABANDONED_AGE)
    })
}
