//! Durable file operations: files that survive a power cut, for the local bucket and the directory
//! queue.
//!
//! # Method
//!
//! A file becomes durable in this order: it is staged under another name ([`stage`]), its content
//! is synced, it is renamed, and the directory that contains it is synced. Before that, every new
//! ancestor directory is made durable ([`Directories`]). A crash at any point leaves either the
//! complete file or no file under its final name.
//!
//! # Main types
//!
//! - [`Disk`] performs both kinds of sync. [`SystemDisk`] is the disk of the operating system.
//! - [`Directories`] creates directories durably, once for each process.
//! - `PowerCut` is a simulated disk that discards unsynced content, for tests (feature
//!   `test-util`).
//!
//! Errors are those of the operating system ([`std::io::Error`]), without further interpretation.

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

/// The operations that make data survive a power cut.
pub trait Disk: Debug + Send + Sync {
    /// Makes the content of a file durable.
    ///
    /// # Errors
    /// The errors of the operating system.
    fn sync_file(&self, file: &File) -> io::Result<()>;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    /// The errors of the operating system.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// A disk that several threads share.
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
        // The parent of a relative path with one component is the empty path.
        let directory = match directory.as_os_str().is_empty() {
            true => Path::new("."),
            false => directory,
        };
        match File::open(directory).and_then(|opened| opened.sync_all()) {
            // An ancestor directory that may be traversed but not read. Another owner is
            // responsible for it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        }
    }
}

/// Creates a file with a random name in a directory. The file is removed when the returned value is
/// dropped.
///
/// # Errors
/// The errors of the operating system.
pub fn stage(directory: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    // The directory queue uses the random name as the id of a message, so it has to be unique.
    builder.prefix(prefix).rand_bytes(20);
    // Apply the umask, as for any other file. The default of the library would deny access to other
    // users.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(directory)
}
