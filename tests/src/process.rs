//! Real programs, and the files that they leave.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A release binary, in `TALLYBOX_RELEASE_DIR` or the target folder.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn release_binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("TALLYBOX_RELEASE_DIR").map(PathBuf::from);
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    let default = || target.join("release");
    let path = folder.unwrap_or_else(default).join(name);
    assert!(
        path.exists(),
        "{} is not there: cargo build --release --workspace --bins",
        path.display()
    );
    path
}

/// All files below a folder, but for those that are being written.
///
/// # Panics
/// If one cannot be read.
pub fn files(folder: &Path, out: &mut BTreeMap<String, Vec<u8>>, root: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a file that can be read").path();
        let name = path
            .strip_prefix(root)
            .expect("a file that can be read")
            .display()
            .to_string();
        if path.is_dir() {
            files(&path, out, root);
        } else if !path
            .file_name()
            .expect("a file that can be read")
            .to_str()
            .expect("a file that can be read")
            .starts_with('.')
        {
            out.insert(name, std::fs::read(&path).expect("a file that can be read"));
        }
    }
}
