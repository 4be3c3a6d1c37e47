//! The files of the project.

use std::path::{Path, PathBuf};

/// Lists all files below a folder, except build output and version control.
///
/// # Panics
/// If a folder cannot be read.
#[must_use]
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the project") {
        let entry = entry.expect("an entry of a folder");
        // In a linked working tree, `.git` is a file.
        if entry.file_name() == "target" || entry.file_name() == ".git" {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Lists the Rust files below a folder.
///
/// # Panics
/// If a folder cannot be read.
#[must_use]
pub fn rust_files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = files_below(folder);
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files
}
