//! A simulated disk that records synced content, and reconstructs the state after a power cut.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Disk;

/// The survival of names that were created or removed since the last sync of their directory. A
/// file system may keep or lose them, and a program has to handle both cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// No unsynced name survives: each directory is in the state of its last sync, or empty if it
    /// was never synced.
    Synced,
    /// All names survive: each directory is in its current state.
    All,
}

/// A simulated disk on top of real files below a directory. A file survives with the content of its
/// last sync, or empty if it was never synced. The names in a directory survive according to
/// [`Entries`].
#[derive(Debug)]
pub struct PowerCut {
    root: PathBuf,
    fails_at: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    syncs: u64,
    /// By inode. The open handle prevents reuse of the inode number.
    files: HashMap<u64, (File, Vec<u8>)>,
    directories: HashMap<PathBuf, BTreeMap<OsString, Found>>,
}

#[derive(Clone, Copy, Debug)]
enum Found {
    File(u64),
    Directory,
}

impl PowerCut {
    /// Creates a disk for the content of `root`, an empty directory that survives itself. The
    /// `fails_at`-th sync, counted from 1, has no effect and fails; with 0, no sync fails.
    #[must_use]
    pub fn new(root: &Path, fails_at: u64) -> Self {
        Self {
            root: root.to_path_buf(),
            fails_at,
            state: Mutex::default(),
        }
    }

    /// Returns the number of syncs so far, including the failed one.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Writes the state that a power cut would leave now into the empty directory `into`.
    ///
    /// # Errors
    /// The errors of the operating system.
    pub fn survivors(&self, entries: Entries, into: &Path) -> io::Result<()> {
        let state = self.state();
        let mut left = vec![PathBuf::new()];
        while let Some(path) = left.pop() {
            let live = self.root.join(&path);
            let found = match entries {
                Entries::Synced => state.directories.get(&live).cloned().unwrap_or_default(),
                Entries::All => list(&live)?,
            };
            for (name, found) in found {
                let path = path.join(name);
                match found {
                    Found::Directory => {
                        fs::create_dir(into.join(&path))?;
                        left.push(path);
                    }
                    Found::File(inode) => {
                        let content = state
                            .files
                            .get(&inode)
                            .map(|(_, content)| content.as_slice());
                        fs::write(into.join(&path), content.unwrap_or_default())?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Counts a sync, or returns an error if it is the one that fails.
    fn count(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.syncs += 1;
        if state.syncs == self.fails_at {
            return Err(io::Error::other("injected kill of the process"));
        }
        Ok(state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for PowerCut {
    fn sync_file(&self, file: &File) -> io::Result<()> {
        let mut state = self.count()?;
        let metadata = file.metadata()?;
        let length = usize::try_from(metadata.len()).map_err(io::Error::other)?;
        let mut content = vec![0; length];
        file.read_exact_at(&mut content, 0)?;
        state
            .files
            .insert(metadata.ino(), (file.try_clone()?, content));
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.count()?;
        // A directory outside of `root` exists before and after the power cut.
        if !directory.starts_with(&self.root) {
            return Ok(());
        }
        state
            .directories
            .insert(directory.to_path_buf(), list(directory)?);
        Ok(())
    }
}

fn list(directory: &Path) -> io::Result<BTreeMap<OsString, Found>> {
    let found = |entry: fs::DirEntry| {
        let metadata = entry.metadata()?;
        let found = match metadata.is_dir() {
            true => Found::Directory,
            false => Found::File(metadata.ino()),
        };
        Ok((entry.file_name(), found))
    };
    fs::read_dir(directory)?
        .map(|entry| found(entry?))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stage;

    /// Returns the content of `d/file` after a power cut, for both kinds of survival.
    fn left(disk: &PowerCut) -> [Option<String>; 2] {
        [Entries::Synced, Entries::All].map(|entries| {
            let into = tempfile::tempdir().unwrap();
            disk.survivors(entries, into.path()).unwrap();
            fs::read_to_string(into.path().join("d/file")).ok()
        })
    }

    #[test]
    fn what_was_not_synced_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let disk = PowerCut::new(root.path(), 0);
        let directory = root.path().join("d");
        fs::create_dir(&directory).unwrap();
        let staged = stage(&directory, ".staged-").unwrap();
        fs::write(staged.path(), "content").unwrap();
        let (torn, whole) = (Some(String::new()), Some("content".to_owned()));
        assert_eq!(left(&disk), [None, None]);
        let file = staged.persist_noclobber(directory.join("file")).unwrap();
        assert_eq!(left(&disk), [None, torn.clone()]);
        disk.sync_directory(&directory).unwrap();
        assert_eq!(
            left(&disk),
            [None, torn.clone()],
            "the name of the directory does not survive either"
        );
        disk.sync_directory(root.path()).unwrap();
        assert_eq!(left(&disk), [torn.clone(), torn]);
        disk.sync_file(&file).unwrap();
        assert_eq!(left(&disk), [whole.clone(), whole]);
    }

    #[test]
    fn one_sync_fails_and_has_no_effect() {
        let root = tempfile::tempdir().unwrap();
        let disk = PowerCut::new(root.path(), 1);
        fs::create_dir(root.path().join("d")).unwrap();
        let file = File::create(root.path().join("d/file")).unwrap();
        assert!(disk.sync_file(&file).is_err());
        assert!(
            !disk
                .state()
                .files
                .contains_key(&file.metadata().unwrap().ino())
        );
        disk.sync_directory(root.path()).unwrap();
        assert_eq!(disk.syncs(), 2);
    }
}
