//! Files that a configuration names: keys and other secrets. All programs read them alike, and fail
//! with the same reason and exit code.

use std::error::Error;
use std::io;
use std::path::Path;

use crate::secret_file;

/// A file that the configuration or the command line names cannot be used. The operator's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file cannot be read.
    #[error("{file}: cannot read the file that the configuration names")]
    Unreadable {
        /// The file.
        file: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file has another content than the configuration states.
    #[error("{file}: cannot be used as {what}; check that it is the right file")]
    Unusable {
        /// The file.
        file: String,
        /// What the file should contain.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl FileError {
    /// Creates the error of a file that cannot be read.
    pub fn unreadable(file: &Path, source: io::Error) -> Self {
        let file = file.display().to_string();
        Self::Unreadable { file, source }
    }

    /// Creates the error of a file whose content is not `what` the configuration states.
    pub fn unusable(
        file: impl Into<String>,
        what: &'static str,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unusable {
            file: file.into(),
            what,
            source: source.into(),
        }
    }
}

/// Reads a private key or another secret, without white space around it.
///
/// # Errors
/// [`FileError`]; also if every user of the machine may read or write the file.
pub fn read_secret<T, E: Error + Send + Sync + 'static>(
    file: &Path,
    what: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, FileError> {
    let text = secret_file::read(file).map_err(|source| FileError::unreadable(file, source))?;
    parse_key(file, what, &text, parse)
}

/// Reads a public key, without white space around it.
///
/// # Errors
/// [`FileError`].
pub fn read_public<T, E: Error + Send + Sync + 'static>(
    file: &Path,
    what: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, FileError> {
    // The configuration may name a private key by mistake, so the text is wiped.
    let text = std::fs::read_to_string(file).map(zeroize::Zeroizing::new);
    let text = text.map_err(|source| FileError::unreadable(file, source))?;
    parse_key(file, what, &text, parse)
}

fn parse_key<T, E: Error + Send + Sync + 'static>(
    file: &Path,
    what: &'static str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, FileError> {
    parse(text.trim())
        .map_err(|source| FileError::unusable(file.display().to_string(), what, source))
}
