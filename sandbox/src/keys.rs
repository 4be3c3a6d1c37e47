//! All keys of a sandbox: the keys of each party, and the key files.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};
use tallybox_client::ProcessorKey;
use tallybox_client::traffic::{EXAMPLES, METRICS, Metric};
use tallybox_crypto::{
    IngestorSecret, KeyError, PacketKeyDocument, PacketPrivateKey, SealingKey, SigningKey,
};
use tallybox_model::client_config::ClientKey;
use tallybox_model::extensions::AnnouncedPacketKey;
use tallybox_model::role::Role;
use tallybox_transport::{RecordKey, Records};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::layout::INSTANCE;

/// Domain separation of keys that are derived from a seed.
const DOMAIN: &[u8] = b"tallybox sandbox keys v1";

/// Id of the ingestor's batch signing key.
pub const INGESTOR_KEY_ID: &str = "ingestor-signing-1";
/// Id of the key that signs the client configuration.
pub const CLIENT_CONFIG_KEY_ID: &str = "client-config-1";
/// File of the ingestor's secret.
pub(crate) const SECRET_FILE: &str = "ingestor-secret.b64";

/// The secrets of all parties. Outside a sandbox they are never held together.
#[derive(Debug)]
pub struct SandboxKeys {
    /// The processors' keys, in order of their index.
    pub processors: [ProcessorKeys; 2],
    /// The key that signs ingestion batches.
    pub ingestor_signing: SigningKey,
    /// The key that signs the client configuration.
    pub client_config: SigningKey,
    /// The secret from which evaluation points and packet ids are derived.
    pub secret: IngestorSecret,
}

/// The secrets of one processor.
#[derive(Debug)]
pub struct ProcessorKeys {
    /// The processor.
    pub role: Role,
    /// Packet decryption keys by number of bins: each packet key belongs to one number of bins.
    pub packet: BTreeMap<usize, PacketPrivateKey>,
    /// The key that signs its validation batches and sum parts.
    pub signing: SigningKey,
    /// The key that seals its own records.
    pub sealing: SealingKey,
}

impl ProcessorKeys {
    /// Returns the keys that authenticate the records in this processor's own bucket.
    ///
    /// # Errors
    /// Never in fact: the instance is a constant.
    pub fn records(&self) -> Result<Records, Error> {
        let key = RecordKey::from_bytes(self.sealing.record_key());
        let instance = INSTANCE.parse().ok();
        let records =
            instance.and_then(|instance| Records::of_processor([key], &instance, self.role));
        records.ok_or_else(|| Error::Internal("the sandbox's instance name is invalid".to_owned()))
    }
}

impl SandboxKeys {
    /// Generates keys from the system's random source, with packet keys for these numbers of bins.
    #[must_use]
    pub fn fresh(bins: &[usize]) -> Self {
        let mut system = rand::rng();
        Self::draw(bins, |_| ChaCha20Rng::from_rng(&mut system))
    }

    /// Derives keys from a seed. **For tests and benchmarks only**: the seed reveals every key.
    #[must_use]
    pub fn from_seed(seed: u64, bins: &[usize]) -> Self {
        Self::draw(bins, |label| {
            let hash = Sha256::new()
                .chain_update(DOMAIN)
                .chain_update(seed.to_be_bytes());
            ChaCha20Rng::from_seed(hash.chain_update(label).finalize().into())
        })
    }

    /// Generates all keys. Each uses its own random generator, so that a key added later changes
    /// none of the others.
    fn draw(bins: &[usize], mut generator: impl FnMut(&str) -> ChaCha20Rng) -> Self {
        let processors = Role::ALL.map(|role| ProcessorKeys {
            role,
            packet: bins
                .iter()
                .map(|&bins| {
                    let key = PacketPrivateKey::generate(&mut generator(&format!(
                        "{role} packet {bins} 1"
                    )));
                    (bins, key)
                })
                .collect(),
            signing: SigningKey::generate(&mut generator(&format!("{role} signing 1"))),
            sealing: SealingKey::generate(&mut generator(&format!("{role} sealing"))),
        });
        Self {
            processors,
            ingestor_signing: SigningKey::generate(&mut generator("ingestor signing 1")),
            client_config: SigningKey::generate(&mut generator("client config signing 1")),
            secret: IngestorSecret::generate(&mut generator("ingestor secret")),
        }
    }

    /// Returns the public packet keys for this number of bins, in order of the processors' index.
    ///
    /// # Errors
    /// [`Error::Setting`] if the sandbox has no packet keys for this number of bins.
    pub fn for_clients(&self, bins: usize) -> Result<Vec<ProcessorKey>, Error> {
        let public = |keys: &ProcessorKeys| {
            let missing =
                || Error::Setting(format!("the sandbox has no packet keys for {bins} bins"));
            Ok(ProcessorKey {
                key_id: Some(packet_key_id(keys.role, bins)),
                public: *keys.packet.get(&bins).ok_or_else(missing)?.public(),
            })
        };
        self.processors.iter().map(public).collect()
    }

    /// Returns the same keys in the form of the client configuration; `None` if there are none for
    /// this number of bins.
    #[must_use]
    pub fn client_keys(&self, bins: u32) -> Option<[ClientKey; 2]> {
        let keys = self.for_clients(usize::try_from(bins).ok()?).ok()?;
        let key = |key: ProcessorKey| ClientKey {
            encryption_key_id: key.key_id.unwrap_or_default(),
            public_key: key.public.to_x962_base64(),
            bins,
        };
        keys.into_iter()
            .map(key)
            .collect::<Vec<_>>()
            .try_into()
            .ok()
    }

    /// Returns a processor's packet keys in the form of its extension document.
    #[must_use]
    pub fn announced(&self, role: Role) -> Vec<AnnouncedPacketKey> {
        let announced = |(bins, key): (&usize, &PacketPrivateKey)| AnnouncedPacketKey {
            id: packet_key_id(role, *bins),
            // No metric of the sandbox has more bins than a header can name, so the maximum is
            // never used.
            bins: u32::try_from(*bins).unwrap_or(u32::MAX),
            public_key: key.public().to_x962_base64(),
        };
        self.processors[role.index()]
            .packet
            .iter()
            .map(announced)
            .collect()
    }

    /// Returns the numbers of bins for which packet keys exist, in ascending order.
    #[must_use]
    pub fn bins(&self) -> Vec<usize> {
        self.processors[0].packet.keys().copied().collect()
    }

    /// Writes every key into `directory`. Secret keys are readable by their owner only.
    ///
    /// # Errors
    /// [`Error::File`], also if one of the files exists.
    pub fn write(&self, directory: &Path) -> Result<(), Error> {
        let secret = |name: String, text: &str| write_new(directory.join(name), text, 0o600);
        let public = |name: String, text: &str| write_new(directory.join(name), text, 0o644);
        for keys in &self.processors {
            let role = keys.role;
            for (&bins, key) in &keys.packet {
                secret(
                    packet_key_file(role, bins),
                    &packet_key_document(role, bins, key)?,
                )?;
                public(
                    packet_public_file(role, bins),
                    &key.public().to_x962_base64(),
                )?;
            }
            secret(signing_key_file(role), &keys.signing.to_pkcs8_base64())?;
            public(
                verifying_key_file(role),
                &keys.signing.verifying_key().to_spki_pem(),
            )?;
            secret(sealing_key_file(role), &keys.sealing.to_base64())?;
            let record = RecordKey::from_bytes(keys.sealing.record_key());
            secret(record_key_file(role), &record.to_text())?;
        }
        let ingestor = &self.ingestor_signing;
        secret(
            format!("{INGESTOR_KEY_ID}.pkcs8.b64"),
            &ingestor.to_pkcs8_base64(),
        )?;
        public(
            ingestor_verifying_key_file(),
            &ingestor.verifying_key().to_spki_pem(),
        )?;
        let client_config = &self.client_config;
        secret(
            format!("{CLIENT_CONFIG_KEY_ID}.pkcs8.b64"),
            &client_config.to_pkcs8_base64(),
        )?;
        public(
            format!("{CLIENT_CONFIG_KEY_ID}.spki.pem"),
            &client_config.verifying_key().to_spki_pem(),
        )?;
        secret(SECRET_FILE.to_owned(), &self.secret.to_base64())
    }
}

/// Returns the numbers of bins of all metrics that the sandbox knows, in ascending order.
#[must_use]
pub fn known_bins() -> Vec<usize> {
    let metrics: Vec<Metric> = METRICS.iter().chain(EXAMPLES).copied().collect();
    bins_of(&metrics)
}

/// Returns the numbers of bins of these metrics, in ascending order.
#[must_use]
pub fn bins_of(metrics: &[Metric]) -> Vec<usize> {
    let mut bins: Vec<usize> = metrics.iter().map(Metric::bins).collect();
    bins.sort_unstable();
    bins.dedup();
    bins
}

/// Returns the JSON document of a packet key, which restricts the key to the sandbox's instance and
/// to this number of bins.
fn packet_key_document(
    role: Role,
    bins: usize,
    key: &PacketPrivateKey,
) -> Result<Zeroizing<String>, Error> {
    let unusable = |error: KeyError| {
        Error::Setting(format!(
            "the packet key for {bins} bins is unusable: {error}"
        ))
    };
    let document = PacketKeyDocument {
        id: packet_key_id(role, bins),
        instance: INSTANCE.to_owned(),
        bins: u32::try_from(bins).unwrap_or(u32::MAX),
        // A constant, so that a seed always gives the same files.
        created: "2020-01-01T00:00:00Z".to_owned(),
        key: PacketPrivateKey::parse(&key.to_x963_base64()).map_err(unusable)?,
    };
    document.to_json().map_err(unusable)
}

/// Returns the id of a processor's packet key for this number of bins.
#[must_use]
pub fn packet_key_id(role: Role, bins: usize) -> String {
    format!("{role}-packet-{bins}-1")
}

/// Returns the id of a processor's signing key.
#[must_use]
pub fn signing_key_id(role: Role) -> String {
    format!("{role}-signing-1")
}

pub(crate) fn packet_public_file(role: Role, bins: usize) -> String {
    format!("{}.x962-public.b64", packet_key_id(role, bins))
}

pub(crate) fn packet_key_file(role: Role, bins: usize) -> String {
    format!("{}.json", packet_key_id(role, bins))
}

pub(crate) fn signing_key_file(role: Role) -> String {
    format!("{}.pkcs8.b64", signing_key_id(role))
}

pub(crate) fn verifying_key_file(role: Role) -> String {
    format!("{}.spki.pem", signing_key_id(role))
}

pub(crate) fn sealing_key_file(role: Role) -> String {
    format!("{role}-sealing.b64")
}

pub(crate) fn record_key_file(role: Role) -> String {
    format!("{role}-record.key")
}

pub(crate) fn ingestor_verifying_key_file() -> String {
    format!("{INGESTOR_KEY_ID}.spki.pem")
}

/// Creates a file that must not exist, with these permissions on Unix, and with one newline at its
/// end.
fn write_new(path: PathBuf, text: &str, mode: u32) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let write = || {
        options
            .open(&path)
            .and_then(|mut file| writeln!(file, "{}", text.trim_end()))
    };
    write().map_err(Error::file(&path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_keys_and_nothing_else_does() {
        let packet = |keys: &SandboxKeys, index: usize| {
            keys.processors[index].packet[&5].public().fingerprint()
        };
        let keys = SandboxKeys::from_seed(7, &[5, 6]);
        assert_eq!(
            packet(&keys, 0),
            packet(&SandboxKeys::from_seed(7, &[5]), 0)
        );
        assert_ne!(packet(&keys, 0), packet(&keys, 1));
        assert_ne!(
            packet(&keys, 0),
            packet(&SandboxKeys::from_seed(8, &[5]), 0)
        );
        assert_ne!(
            packet(&keys, 0),
            keys.processors[0].packet[&6].public().fingerprint()
        );
        let fresh = || packet(&SandboxKeys::fresh(&[5]), 0);
        assert_ne!(fresh(), fresh());
        assert_eq!(keys.bins(), [5, 6]);
        assert!(keys.for_clients(7).is_err());
    }

    #[test]
    fn files_hold_the_keys_and_secrets_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let keys = SandboxKeys::from_seed(1, &[5]);
        keys.write(directory.path()).unwrap();
        let read = |name: String| std::fs::read_to_string(directory.path().join(name)).unwrap();
        let packet = PacketKeyDocument::parse(&read(packet_key_file(Role::Second, 5))).unwrap();
        assert_eq!((packet.bins, packet.instance.as_str()), (5, INSTANCE));
        assert_eq!(packet.key.public(), keys.processors[1].packet[&5].public());
        let verifying =
            tallybox_crypto::VerifyingKey::parse(&read(ingestor_verifying_key_file())).unwrap();
        assert!(
            verifying
                .verify(b"x", &keys.ingestor_signing.sign(b"x"))
                .is_ok()
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let file = directory.path().join(sealing_key_file(Role::First));
            assert_eq!(
                std::fs::metadata(file).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        assert!(
            keys.write(directory.path()).is_err(),
            "nothing is overwritten"
        );
    }
}
