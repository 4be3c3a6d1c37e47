//! The keys of a processor and of the parties that it trusts.

use crate::config::Config;
use crate::error::Error;
use crate::packet_keys;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tallybox_crypto::{KeyPurposes, SealingKey, SigningKey, VerifyingKey};
use tallybox_model::id::KeyId;
use tallybox_service::config::Loaded;
use tallybox_service::key_file::{FileError, read_public, read_secret};
use tallybox_transport::batch::TrustedKeys;

pub use crate::packet_keys::PacketKey;

/// The keys of a processor and of the parties that it trusts.
#[derive(Debug)]
pub struct Keys {
    /// The packet keys, in the order in which they are tried.
    pub packet: Vec<PacketKey>,
    /// The identifier of the signing key.
    pub signing_id: KeyId,
    /// The key that signs the batches of this processor.
    pub signing: SigningKey,
    /// The keys that verify the batches of this processor: the public halves of the signing key and
    /// of earlier ones.
    pub own: TrustedKeys,
    /// The keys of prepared batches. The first seals; all open.
    pub sealing: Vec<SealingKey>,
    /// The keys that verify the ingestor's batches.
    pub ingestor: TrustedKeys,
    /// The keys that verify the peer's batches.
    pub peer: TrustedKeys,
}

impl Keys {
    /// Reads the key files that a configuration names.
    ///
    /// # Errors
    /// [`Error`] that names the file or the configuration key.
    pub(crate) fn read(config: &Loaded<Config>) -> Result<Self, Error> {
        let value = &config.value;
        let file = config.resolve(&value.batch_signing_key.file);
        let signing = read_secret(&file, "batch signing key", SigningKey::parse)?;
        let sealing = value.prepared_sealing_key.as_slice();
        let sealing = sealing
            .iter()
            .map(|key| {
                let file = config.resolve(&key.file);
                read_secret(&file, "prepared sealing key", SealingKey::parse)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut own = trusted(config, &value.earlier_public_keys)?;
        // Inserted last, so that the present key replaces an earlier one with the same identifier.
        own.insert(value.batch_signing_key.id.clone(), signing.verifying_key());
        let keys = Self {
            packet: packet_keys::read(config)?,
            signing_id: value.batch_signing_key.id.clone(),
            signing,
            own,
            sealing,
            ingestor: trusted(config, &value.ingestor_public_keys)?,
            peer: trusted(config, &value.peer_public_keys)?,
        };
        if keys.packet.is_empty() || keys.sealing.is_empty() {
            return Err(Error::Setting(
                "packet-decryption-keys and prepared-sealing-key each need at least one key"
                    .to_owned(),
            ));
        }
        keys.check_purposes()?;
        Ok(keys)
    }

    /// Refuses a key pair that serves two purposes.
    fn check_purposes(&self) -> Result<(), Error> {
        let mut purposes = KeyPurposes::default();
        let mut add = |purpose, name: &KeyId, fingerprint| {
            let added = purposes.add(purpose, name, fingerprint);
            added.map_err(|reuse| Error::Setting(reuse.to_string()))
        };
        for key in &self.packet {
            add("packet decryption key", &key.id, key.fingerprint.clone())?;
        }
        let named = [
            ("batch signing key of ours", &self.own),
            ("ingestor public key", &self.ingestor),
            ("peer public key", &self.peer),
        ];
        for (purpose, keys) in named {
            for (id, key) in keys {
                add(purpose, id, key.fingerprint())?;
            }
        }
        Ok(())
    }
}

/// Reads public keys that a configuration names.
fn trusted(
    config: &Loaded<Config>,
    files: &BTreeMap<KeyId, PathBuf>,
) -> Result<TrustedKeys, FileError> {
    let read = |(id, file): (&KeyId, &PathBuf)| {
        let key = read_public(&config.resolve(file), "public key", VerifyingKey::parse)?;
        Ok((id.clone(), key))
    };
    files.iter().map(read).collect()
}
