//! Reads keys in any encoding, and encodes them.

use crate::error::Error;
use crate::key_encoding::{AnyKey, KeyEncoding};
use std::io::Read as _;
use std::path::Path;
use tallybox_crypto::KeyError;
use tallybox_service::key_file::FileError;
use zeroize::Zeroizing;

/// The longest key file that is read, in bytes.
const KEY_FILE_BYTES: u64 = 64 << 10;

/// Reads a key file, or standard input for `-`, and detects the encoding.
pub(super) fn read(file: &Path) -> Result<AnyKey, Error> {
    let shown = || {
        if file == Path::new("-") {
            "standard input".to_owned()
        } else {
            file.display().to_string()
        }
    };
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES as usize + 1));
    let read = if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(KEY_FILE_BYTES + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file)
            .and_then(|file| file.take(KEY_FILE_BYTES + 1).read_to_string(&mut text))
    };
    let length = read.map_err(|source| FileError::unreadable(Path::new(&shown()), source))?;
    if length as u64 > KEY_FILE_BYTES {
        return Err(Error::Setting(format!(
            "{}: larger than 64 KiB, which is too large for a key",
            shown()
        )));
    }
    let (key, _) = AnyKey::parse(&text).map_err(|source| bad_key(&shown(), source))?;
    Ok(key)
}

pub(super) fn bad_key(file: &str, source: KeyError) -> Error {
    FileError::unusable(file, "a key", source).into()
}

/// Encodes a key. An error names what is missing for the requested encoding.
pub(super) fn encode(
    key: &AnyKey,
    encoding: KeyEncoding,
    common_name: Option<&str>,
    file: &str,
) -> Result<Zeroizing<String>, Error> {
    if encoding == KeyEncoding::CsrPem && common_name.is_none() {
        return Err(Error::Setting(
            "--encoding csr-pem needs --common-name NAME".to_owned(),
        ));
    }
    let text = key
        .encode(encoding, common_name.unwrap_or_default())
        .map_err(|source| bad_key(file, source))?;
    text.ok_or_else(|| {
        let reason = match key {
            AnyKey::Public(_) => "the key is public, and this encoding needs the private half",
            AnyKey::Sealing(_) => "a sealing key has only the encoding base64, and no public half",
            AnyKey::Private(_) if encoding == KeyEncoding::PacketDocument => {
                "the key is bare; give --instance and --bins"
            }
            AnyKey::Private(_) | AnyKey::Packet(_) => "base64 is the encoding of sealing keys",
        };
        Error::Setting(format!("{file}: cannot encode as {encoding}: {reason}"))
    })
}
