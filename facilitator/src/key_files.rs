//! Reads the key files that a configuration names.

use crate::config::Config;
use crate::error::Error;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tallybox_crypto::{KeyError, VerifyingKey};
use tallybox_model::id::KeyId;
use tallybox_service::config::Loaded;
use tallybox_service::secret_file;
use tallybox_transport::batch::TrustedKeys;
use zeroize::Zeroizing;

/// Reads a private or sealing key.
pub(crate) fn secret_key<T>(
    config: &Loaded<Config>,
    file: &Path,
    what: &'static str,
    parse: impl Fn(&str) -> Result<T, KeyError>,
) -> Result<T, Error> {
    let path = config.resolve(file);
    let file = path.display().to_string();
    match secret_file::read(&path) {
        Ok(text) => parse(text.trim()).map_err(|source| Error::Key { file, what, source }),
        Err(source) => Err(Error::File { file, source }),
    }
}

/// Reads the public key in a file that is given by its resolved path.
pub(crate) fn read_public(path: &Path) -> Result<VerifyingKey, Error> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => VerifyingKey::parse(text.trim()).map_err(|source| Error::Key {
            file,
            what: "public key",
            source,
        }),
        Err(source) => Err(Error::File { file, source }),
    }
}

/// Reads public keys that a configuration names.
pub(crate) fn trusted(
    config: &Loaded<Config>,
    files: &BTreeMap<KeyId, PathBuf>,
) -> Result<TrustedKeys, Error> {
    let read = |(id, file): (&KeyId, &PathBuf)| {
        let key = read_public(&config.resolve(file))?;
        Ok((id.clone(), key))
    };
    files.iter().map(read).collect()
}
