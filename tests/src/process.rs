//! Runs the real programs, and reads the files that they write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Returns the path of a program of this project: in the folder `TALLYBOX_BINARIES`, or next to the
/// running test, where `cargo test --workspace` and `cargo nextest run --workspace` put all
/// programs.
///
/// # Panics
/// If the program does not exist.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("TALLYBOX_BINARIES").map(PathBuf::from);
    let built = || {
        let test = std::env::current_exe().expect("a running test");
        // target/debug/deps/this-test
        test.ancestors()
            .nth(2)
            .expect("a folder of programs")
            .to_owned()
    };
    let path = folder.unwrap_or_else(built).join(name);
    assert!(
        path.exists(),
        "{} does not exist; run cargo build --workspace --bins",
        path.display()
    );
    path
}

/// Returns all files in a folder and its subfolders, except those that are being written.
///
/// # Panics
/// If a file cannot be read.
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
