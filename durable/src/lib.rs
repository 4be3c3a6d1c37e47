//! Files that survive a power cut: what the local bucket and the directory queue write.
//!
//! A file is staged under another name, its content is synced, it is renamed, and the directory that holds it is synced,
//! after every directory above that was made for it. Both kinds of sync go through a [`Disk`], so that a test can forget
//! what was not synced.

mod directories;
#[cfg(any(test, feature = "test-util"))]
mod power_cut;

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tempfile::NamedTempFile;

pub use directories::Directories;
#[cfg(any(test, feature = "test-util"))]
pub use power_cut::{Entries, PowerCut};

/// The operations that make something survive a power cut.
pub trait Disk: Debug + Send + Sync {
    /// Makes the content of a file durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_file(&self, file: &File) -> io::Result<()>;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// A disk that several threads use.
pub type SharedDisk = Arc<dyn Disk>;

/// The disk of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn sync_file(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        if cfg!(not(unix)) {
            return Ok(());
        }
        // The parent of a relative path of one component.
        let directory = match directory.as_os_str().is_empty() {
            true => Path::new("."),
            false => directory,
        };
        match File::open(directory).and_then(|opened| opened.sync_all()) {
            // A directory we may pass but not read, above those we write: not ours to sync.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        }
    }
}

/// A new file of a random name in a directory, which is removed when it is dropped.
///
/// # Errors
/// The operating system's.
pub fn stage(directory: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).rand_bytes(20);
    // What the umask leaves, as for any other file: the default would lock other users out.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(directory)
}
