//! Directories whose names survive a power cut.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Disk, SharedDisk};

/// Maximum number of cached directories. The cache is cleared when it is full.
const MOST_CACHED_DIRECTORIES: usize = 4096;

/// The directories that this process has made durable, so that each is synced only once.
#[derive(Debug)]
pub struct Directories {
    disk: SharedDisk,
    /// For each durable directory, whether it was prepared itself or is only an ancestor of a
    /// prepared one.
    durable: Mutex<HashMap<PathBuf, bool>>,
}

impl Directories {
    /// Creates an empty cache for this disk.
    #[must_use]
    pub fn new(disk: SharedDisk) -> Self {
        Self {
            disk,
            durable: Mutex::default(),
        }
    }

    /// Returns the disk.
    #[must_use]
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Returns another handle of the disk.
    #[must_use]
    pub fn shared_disk(&self) -> SharedDisk {
        SharedDisk::clone(&self.disk)
    }

    /// Creates a directory if necessary, and makes its name and the names of all its ancestors
    /// durable. Existing directories are synced as well, because the process that created them may
    /// have been killed before its sync. The caller syncs the entries of the directory itself.
    ///
    /// Returns whether this is the first call for the directory, according to the cache.
    ///
    /// # Errors
    /// The errors of the operating system.
    pub fn prepare(&self, directory: &Path) -> io::Result<bool> {
        let deepest = self.deepest_durable(directory);
        if deepest.as_deref() != Some(directory) {
            fs::create_dir_all(directory)?;
        }
        let new: Vec<&Path> = directory
            .ancestors()
            .take_while(|ancestor| Some(*ancestor) != deepest.as_deref())
            .collect();
        for parent in new.iter().filter_map(|ancestor| ancestor.parent()) {
            self.disk.sync_directory(parent)?;
        }
        let mut durable = self.lock();
        if durable.len() >= MOST_CACHED_DIRECTORIES {
            durable.clear();
        }
        for ancestor in new {
            durable.entry(ancestor.to_path_buf()).or_default();
        }
        let prepared = durable.insert(directory.to_path_buf(), true);
        Ok(prepared != Some(true))
    }

    fn deepest_durable(&self, directory: &Path) -> Option<PathBuf> {
        let durable = self.lock();
        let is_durable = |ancestor: &&Path| durable.contains_key(*ancestor) && ancestor.is_dir();
        directory
            .ancestors()
            .find(is_durable)
            .map(Path::to_path_buf)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, bool>> {
        // The map is consistent even if a thread panicked while it held the lock.
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::{Entries, PowerCut};

    #[test]
    fn each_directory_is_synced_once() {
        let root = tempfile::tempdir().unwrap();
        let disk = Arc::new(PowerCut::new(root.path(), 0));
        let directories = Directories::new(disk.clone());
        let prepare = |path: &str| {
            let before = disk.syncs();
            let first = directories.prepare(&root.path().join(path)).unwrap();
            (first, disk.syncs() - before)
        };
        let above = root.path().ancestors().count() as u64 - 1;
        assert_eq!(prepare("a/b"), (true, above + 2));
        assert_eq!(prepare("a/b"), (false, 0));
        assert_eq!(prepare("a/c"), (true, 1));
        assert_eq!(prepare("a"), (true, 0), "durable, and not prepared itself");
        let into = tempfile::tempdir().unwrap();
        disk.survivors(Entries::Synced, into.path()).unwrap();
        assert!(into.path().join("a/b").is_dir() && into.path().join("a/c").is_dir());
        // A directory that was removed is created again.
        fs::remove_dir_all(root.path().join("a")).unwrap();
        assert_eq!(prepare("a/b"), (false, 2));
    }
}
