//! Writes keys to new files that only their owner can read, or to standard output on request.

use crate::error::Error;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes a secret durably to a new file of mode 0600, or to standard output for `-`.
pub(super) fn write_secret(out: &Path, text: &str) -> Result<(), Error> {
    write(out, text, 0o600)
}

/// Writes public text to a new file of mode 0644, or to standard output for `-`.
pub(super) fn write_public(out: &Path, text: &str) -> Result<(), Error> {
    write(out, text, 0o644)
}

fn write(out: &Path, text: &str, mode: u32) -> Result<(), Error> {
    if out == Path::new("-") {
        let mut stdout = io::stdout().lock();
        let written = writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush());
        return written.map_err(|error| Error::Setting(format!("cannot write to stdout: {error}")));
    }
    let shown = out.display();
    create_folder(out)
        .map_err(|error| Error::Setting(format!("{shown}: cannot create its folder: {error}")))?;
    let mut file = create(out, mode).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Setting(format!(
            "{shown}: the file exists already, and keys are never overwritten; choose another name"
        )),
        _ => Error::Setting(format!("{shown}: cannot create: {error}")),
    })?;
    // PEM text ends with a newline. Base64 does not, since some programs use the file's exact
    // bytes.
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_directory(out));
    written.map_err(|error| {
        // A truncated key is worse than none. A failed removal is ignored: the write error is
        // reported in any case.
        let _ = std::fs::remove_file(out);
        Error::Setting(format!("{shown}: cannot write: {error}"))
    })
}

/// Creates the parent folders of a key file with mode 0700, since they hold keys.
fn create_folder(file: &Path) -> io::Result<()> {
    let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Ok(());
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)
}

/// Flushes the folder, so that the file's name is durable.
fn sync_directory(file: &Path) -> io::Result<()> {
    let directory = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
