//! The keys that verify each processor's sum parts, as an operator lists them: `ID=FILE`, or
//! `first:ID=FILE` and `second:ID=FILE`.

use std::path::PathBuf;
use std::str::FromStr;

use tallybox_crypto::VerifyingKey;
use tallybox_model::role::Role;
use tallybox_service::key_file::read_public;
use tallybox_transport::batch::TrustedKeys;

use crate::error::Error;

/// A public key on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOption {
    /// The processor that signs with the key, if the option states it.
    pub owner: Option<Role>,
    /// The identifier that signatures contain.
    pub id: String,
    /// The file with the public key, in any of ENPA's encodings.
    pub file: PathBuf,
}

/// The reason why a text is not a key option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write ID=FILE, or first:ID=FILE or second:ID=FILE")]
pub struct KeyOptionError;

impl FromStr for KeyOption {
    type Err = KeyOptionError;

    fn from_str(text: &str) -> Result<Self, KeyOptionError> {
        let owned = Role::ALL.into_iter().find_map(|role| {
            let rest = text.strip_prefix(role.to_string().as_str())?;
            Some((Some(role), rest.strip_prefix(':')?))
        });
        let (owner, rest) = owned.unwrap_or((None, text));
        match rest.split_once('=') {
            Some((id, file)) if !id.is_empty() && !file.is_empty() => Ok(Self {
                owner,
                id: id.to_owned(),
                file: file.into(),
            }),
            _ => Err(KeyOptionError),
        }
    }
}

/// The keys that verify each processor's sum parts, in order of the processors' index.
#[derive(Clone, Debug, Default)]
pub struct PortalKeys {
    keys: [TrustedKeys; 2],
}

impl PortalKeys {
    /// Reads the key files.
    ///
    /// A key without an owner may verify either part. This is safe for at most two keys, because
    /// [`crate::pair::join`] refuses parts that one key has signed. With a third key, both parts
    /// could be signed by one processor, so each owner has to be stated.
    ///
    /// # Errors
    /// [`Error::Usage`] if owners are missing; otherwise an error that names the file.
    pub fn read(options: &[KeyOption]) -> Result<Self, Error> {
        if options.is_empty() {
            return Err(Error::Usage(
                "no key: name the public signing key of each processor with --key ID=FILE"
                    .to_owned(),
            ));
        }
        if options.len() > 2 && options.iter().any(|option| option.owner.is_none()) {
            return Err(Error::Usage(format!(
                "{} keys: state whose each one is, --key first:ID=FILE or --key second:ID=FILE; \
                 otherwise one processor could sign both sum parts",
                options.len()
            )));
        }
        let mut keys = Self::default();
        for option in options {
            let key = read_public(&option.file, "public key", VerifyingKey::parse)?;
            let owners = option.owner.map_or(Role::ALL.to_vec(), |owner| vec![owner]);
            for owner in owners {
                let of_owner = &mut keys.keys[owner.index()];
                if of_owner.insert(option.id.clone(), key.clone()).is_some() {
                    return Err(Error::Usage(format!("key {:?} is given twice", option.id)));
                }
            }
        }
        Ok(keys)
    }

    /// Creates the keys from those of each processor.
    #[must_use]
    pub fn new(keys: [TrustedKeys; 2]) -> Self {
        Self { keys }
    }

    /// Returns the keys that verify the sum parts of a processor.
    #[must_use]
    pub fn of(&self, writer: Role) -> &TrustedKeys {
        &self.keys[writer.index()]
    }
}

/// Reads the key files of one processor.
///
/// # Errors
/// An error that names the file.
pub(crate) fn read_keys(
    files: impl Iterator<Item = (String, PathBuf)>,
) -> Result<TrustedKeys, Error> {
    let read = |(id, file): (String, PathBuf)| {
        Ok((id, read_public(&file, "public key", VerifyingKey::parse)?))
    };
    files.map(read).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::path::Path;

    #[test]
    fn options() {
        let option = |text: &str| text.parse::<KeyOption>();
        let key = option("pha-key-1=keys/pha.pem").unwrap();
        assert_eq!((key.owner, key.id.as_str()), (None, "pha-key-1"));
        assert_eq!(key.file, Path::new("keys/pha.pem"));
        let second = option("second:k=a=b").unwrap();
        assert_eq!(
            (second.owner, second.id.as_str()),
            (Some(Role::Second), "k")
        );
        assert_eq!(second.file, Path::new("a=b"));
        for bad in ["", "k", "=file", "k=", "first:=file"] {
            assert_eq!(option(bad), Err(KeyOptionError), "{bad}");
        }
    }

    #[test]
    fn a_third_key_needs_owners() {
        let options: Vec<_> = ["a=1", "first:b=2", "second:c=3"]
            .map(|text| text.parse().unwrap())
            .into();
        let error = PortalKeys::read(&options).unwrap_err().to_string();
        assert!(
            error.starts_with("3 keys: state whose each one is"),
            "{error}"
        );
    }
}
