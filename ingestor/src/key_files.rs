//! Reads the key files that a configuration names.

use std::path::Path;

use tallybox_crypto::KeyError;
use tallybox_service::config::Loaded;
use tallybox_service::secret_file;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;

/// Reads a private key or another secret.
pub(crate) fn secret_key<T>(
    config: &Loaded<Config>,
    file: &Path,
    what: &'static str,
    parse: impl Fn(&str) -> Result<T, KeyError>,
) -> Result<T, Error> {
    let path = config.resolve(file);
    parse_key(&path, what, secret_file::read(&path), parse)
}

/// Reads a public key.
pub(crate) fn public_key<T>(
    config: &Loaded<Config>,
    file: &Path,
    what: &'static str,
    parse: impl Fn(&str) -> Result<T, KeyError>,
) -> Result<T, Error> {
    let path = config.resolve(file);
    parse_key(
        &path,
        what,
        std::fs::read_to_string(&path).map(Zeroizing::new),
        parse,
    )
}

fn parse_key<T>(
    path: &Path,
    what: &'static str,
    text: std::io::Result<Zeroizing<String>>,
    parse: impl Fn(&str) -> Result<T, KeyError>,
) -> Result<T, Error> {
    let file = path.display().to_string();
    match text {
        Ok(text) => parse(text.trim()).map_err(|source| Error::Key { file, what, source }),
        Err(source) => Err(Error::File { file, source }),
    }
}
