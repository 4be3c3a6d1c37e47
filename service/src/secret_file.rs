//! Reads files that contain secret keys.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

/// Largest secret file that is read, in bytes. Every encoding of a key is smaller.
const MAX_BYTES: u64 = 64 << 10;

/// Reads a secret file as text. The text is wiped when it is dropped.
///
/// # Errors
/// The error of the operating system; [`io::ErrorKind::PermissionDenied`] if every user of the
/// machine may read or write the file. The caller names the file; the message states what to
/// change.
pub(crate) fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = File::open(path)?;
    refuse_exposed(&file)?;
    // The buffer gets its final size at once: a buffer that grows leaves copies of the secret
    // behind.
    let size = file.metadata()?.len().min(MAX_BYTES);
    let mut text = Zeroizing::new(String::with_capacity(
        usize::try_from(size).unwrap_or(0) + 1,
    ));
    // One byte beyond the limit shows that the file is too large.
    file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "larger than any key file",
        ));
    }
    Ok(text)
}

#[cfg(unix)]
fn refuse_exposed(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o006 == 0 {
        return Ok(());
    }
    let problem = format!(
        "every user of this machine may read or write this secret (mode {mode:03o}): run `chmod o-rwx` on it, or set \
         defaultMode 0440 on the Kubernetes secret volume"
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
}

/// Other systems have no such mode; operators manage their access lists.
#[cfg(not(unix))]
fn refuse_exposed(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_that_others_may_read_or_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, "secret text").unwrap();
        for (mode, taken) in [
            (0o600, true),
            (0o400, true),
            (0o640, true),
            (0o644, false),
            (0o602, false),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = read(&path);
            assert_eq!(read.is_ok(), taken, "{mode:o}");
            if let Err(error) = read {
                assert!(error.to_string().contains("chmod o-rwx"), "{error}");
                assert!(!error.to_string().contains("secret text"));
            }
        }
    }

    #[test]
    fn a_large_file_is_no_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, vec![b'a'; (MAX_BYTES + 1) as usize]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
