//! The files of a queue: durable writing, finding, renaming and removal.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tallybox_durable::{Directories, SharedDisk};
use tempfile::NamedTempFile;

use super::name::{Found, Name, State, folder_at};

/// Maximum number of messages in a scan.
const MOST_LISTED_MESSAGES: usize = 4096;

/// An empty folder is removed once its time range ended this many microseconds ago, because no
/// process is going to move a file into it any more.
const EMPTY_FOLDER_MICROS: u64 = 300_000_000;

/// Age from which a staged file counts as abandoned by a killed writer.
const ABANDONED_AGE: Duration = Duration::from_secs(3600);

/// The files below one directory.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    directories: Directories,
    /// The time of the last message that was published through this value, so that no two messages
    /// have the same time.
    last: AtomicU64,
    swept: Once,
}

impl Files {
    pub(super) fn new(root: PathBuf, disk: SharedDisk) -> Self {
        Self {
            root,
            directories: Directories::new(disk),
            last: AtomicU64::new(0),
            swept: Once::new(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn disk(&self) -> SharedDisk {
        self.directories.shared_disk()
    }

    /// Writes a message to the staging directory, durably.
    pub(super) fn stage(&self, body: &[u8]) -> io::Result<NamedTempFile> {
        let staging = self.root.join("staging");
        fs::create_dir_all(&staging)?;
        self.swept.call_once(|| sweep(&staging));
        let mut staged = tallybox_durable::stage(&staging, "")?;
        staged.write_all(body)?;
        self.directories.disk().sync_file(staged.as_file())?;
        Ok(staged)
    }

    /// Moves a staged message into the queue, durably. Messages published through this value keep
    /// their order.
    pub(super) fn publish(&self, staged: NamedTempFile, now: u64) -> io::Result<()> {
        let before = |last: u64| Some(now.max(last + 1));
        let last = self
            .last
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, before);
        let now = now.max(last.unwrap_or_default() + 1);
        let id = staged.path().file_name().and_then(|name| name.to_str());
        let name = Name {
            time: now,
            published: now,
            attempt: 0,
            leased: false,
            id: id.ok_or(io::ErrorKind::InvalidFilename)?.to_owned(),
        };
        let folder = self.durable_folder(State::Ready.folder(), &name.folder())?;
        staged.persist_noclobber(folder.join(name.to_string()))?;
        self.directories.disk().sync_directory(&folder)
    }

    /// Renames a message, possibly into another queue. Fails with `NotFound` if the message no
    /// longer exists.
    pub(super) fn move_to(
        &self,
        found: &Found,
        target: &Self,
        state: State,
        name: &Name,
    ) -> io::Result<()> {
        let (from, to) = (
            self.path(found.state, &found.name),
            target.path(state, name),
        );
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The error does not show whether the source or the target's folder is missing.
                if let Some(folder) = to.parent() {
                    fs::create_dir_all(folder)?;
                }
                fs::rename(&from, &to)
            }
            other => other,
        }
    }

    /// Moves a message like [`Self::move_to`], but durably and to the ready messages of `target`.
    pub(super) fn move_durably(&self, found: &Found, target: &Self, name: &Name) -> io::Result<()> {
        let folder = target.durable_folder(State::Ready.folder(), &name.folder())?;
        self.move_to(found, target, State::Ready, name)?;
        self.directories.disk().sync_directory(&folder)
    }

    pub(super) fn remove(&self, found: &Found) -> io::Result<()> {
        fs::remove_file(self.path(found.state, &found.name))
    }

    /// Reads the message; returns `None` if it no longer exists.
    pub(super) fn read(&self, found: &Found) -> io::Result<Option<Bytes>> {
        Ok(present(fs::read(self.path(found.state, &found.name)))?.map(Bytes::from))
    }

    /// Writes the reason for a message in this queue of rejected messages, durably. Replaces an
    /// earlier reason.
    pub(super) fn write_reason(&self, id: &str, reason: &str) -> io::Result<()> {
        let staged = self.stage(reason.as_bytes())?;
        let folder = self.durable_folder("reasons", "")?;
        staged.persist(folder.join(id))?;
        self.directories.disk().sync_directory(&folder)
    }

    pub(super) fn reason(&self, id: &str) -> io::Result<Option<String>> {
        let bytes = present(fs::read(self.root.join("reasons").join(id)))?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Removes the reason of a message. Best effort: a reason without a message has no effect.
    pub(super) fn delete_reason(&self, id: &str) {
        let _ = fs::remove_file(self.root.join("reasons").join(id));
    }

    /// Returns the ready messages, the oldest first, up to a few thousand. Folders of future times
    /// are not opened, so held messages cost no time.
    pub(super) fn list_ready(&self, now: u64) -> io::Result<Vec<Found>> {
        let mut all = Vec::new();
        for folder in self.folders(State::Held)? {
            if folder > folder_at(now) {
                break;
            }
            self.names(State::Held, &folder, now, |name| {
                if name.time <= now {
                    let state = State::Held;
                    all.push(Found { state, name });
                }
            })?;
        }
        for folder in self.folders(State::Ready)? {
            if all.len() >= MOST_LISTED_MESSAGES {
                break;
            }
            self.names(State::Ready, &folder, now, |name| {
                let state = State::Ready;
                all.push(Found { state, name });
            })?;
        }
        all.sort_unstable_by(|a, b| (a.name.time, &a.name.id).cmp(&(b.name.time, &b.name.id)));
        all.truncate(MOST_LISTED_MESSAGES);
        Ok(all)
    }

    /// Searches the file of a lease that this handle did not receive.
    pub(super) fn find_held(&self, lease: &str) -> io::Result<Option<Found>> {
        let mut result = None;
        for folder in self.folders(State::Held)?.into_iter().rev() {
            self.names(State::Held, &folder, 0, |name| {
                if name.leased && name.lease() == lease {
                    let state = State::Held;
                    result = Some(Found { state, name });
                }
            })?;
            if result.is_some() {
                break;
            }
        }
        Ok(result)
    }

    /// Counts the ready and the held messages.
    pub(super) fn count(&self, now: u64) -> io::Result<(u64, u64)> {
        let (mut ready, mut held) = (0, 0);
        for state in [State::Ready, State::Held] {
            for folder in self.folders(state)? {
                self.names(state, &folder, 0, |name| {
                    if state == State::Ready || name.time <= now {
                        ready += 1;
                    } else {
                        held += 1;
                    }
                })?;
            }
        }
        Ok((ready, held))
    }

    fn path(&self, state: State, name: &Name) -> PathBuf {
        let mut path = self.root.join(state.folder());
        path.push(name.folder());
        path.push(name.to_string());
        path
    }

    /// Returns the folders of a tree, the oldest first.
    fn folders(&self, state: State) -> io::Result<Vec<String>> {
        let mut folders = Vec::new();
        for entry in present(fs::read_dir(self.root.join(state.folder())))?
            .into_iter()
            .flatten()
        {
            if let Ok(name) = entry?.file_name().into_string()
                && name.len() == folder_at(0).len()
                && name.bytes().all(|byte| byte.is_ascii_digit())
            {
                folders.push(name);
            }
        }
        folders.sort_unstable();
        Ok(folders)
    }

    /// Calls a function for each name in a folder. Removes a folder that is empty and long past.
    fn names(
        &self,
        state: State,
        folder: &str,
        now: u64,
        mut each: impl FnMut(Name),
    ) -> io::Result<()> {
        let path = self.root.join(state.folder()).join(folder);
        let mut empty = true;
        for entry in present(fs::read_dir(&path))?.into_iter().flatten() {
            empty = false;
            if let Some(name) = entry?.file_name().to_str().and_then(Name::parse) {
                each(name);
            }
        }
        if empty && folder < folder_at(now.saturating_sub(EMPTY_FOLDER_MICROS)).as_str() {
            // The removal fails if another process has just moved a file into the folder.
            let _ = fs::remove_dir(path);
        }
        Ok(())
    }

    /// Creates a folder, with all its ancestors, durably.
    fn durable_folder(&self, tree: &str, folder: &str) -> io::Result<PathBuf> {
        let tree = self.root.join(tree);
        let path = if folder.is_empty() {
            tree
        } else {
            tree.join(folder)
        };
        self.directories.prepare(&path)?;
        Ok(path)
    }
}

/// Removes files that killed writers left in the staging directory. Best effort: such files have no
/// effect.
fn sweep(staging: &Path) {
    for entry in fs::read_dir(staging).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.map(|modified| {
            SystemTime::now()
                .duration_since(modified)
                .unwrap_or_default()
        });
        if age.is_ok_and(|age| age > ABANDONED_AGE) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Returns the result, or `None` if the file does not exist.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
