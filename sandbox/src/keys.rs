//! Every key of a sandbox: each party's own, and the files in which the others find the public halves.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};
use tallybox_client::ProcessorKey;
use tallybox_client::traffic::{EXAMPLES, METRICS, Metric};
use tallybox_crypto::{IngestorSecret, KeyError, PacketKeyDocument, PacketPrivateKey, SealingKey, SigningKey};
use tallybox_model::client_config::ClientKey;
use tallybox_model::extensions::AnnouncedPacketKey;
use tallybox_model::role::Role;
use tallybox_transport::{RecordKey, Records};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::layout::INSTANCE;

/// Separates keys made from a seed from any other use of the seed.
const DOMAIN: &[u8] = b"tallybox sandbox keys v1";

/// The identifier under which batches of the ingestor name its signing key.
pub const INGESTOR_KEY_ID: &str = "ingestor-signing-1";
/// The identifier of the key that signs the configuration of clients.
pub const CLIENT_CONFIG_KEY_ID: &str = "client-config-1";
/// The file of the ingestor's secret.
pub(crate) const SECRET_FILE: &str = "ingestor-secret.b64";

/// All secrets of all parties: what nobody outside a sandbox ever holds together.
#[derive(Debug)]
pub struct SandboxKeys {
    /// Those of the processors, in order of their index.
    pub processors: [ProcessorKeys; 2],
    /// What signs ingestion batches.
    pub ingestor_signing: SigningKey,
    /// What signs the configuration of clients.
    pub client_config: SigningKey,
    /// What evaluation points and the ids of packets follow from.
    pub secret: IngestorSecret,
}

/// The secrets of one processor.
#[derive(Debug)]
pub struct ProcessorKeys {
    /// Whose they are.
    pub role: Role,
    /// The keys that clients seal shares to, by number of bins: a packet key belongs to one number of bins.
    pub packet: BTreeMap<usize, PacketPrivateKey>,
    /// What signs its validations and sum parts.
    pub signing: SigningKey,
    /// What seals its own records.
    pub sealing: SealingKey,
}

impl ProcessorKeys {
    /// What makes and verifies the records of this processor's own bucket.
    ///
    /// # Errors
    /// [`Error::Internal`], never.
    pub fn records(&self) -> Result<Records, Error> {
        let key = RecordKey::from_bytes(self.sealing.record_key());
        let instance = INSTANCE.parse().ok();
        let records = instance.and_then(|instance| Records::of_processor([key], &instance, self.role));
        records.ok_or_else(|| Error::Internal("the sandbox's instance".to_owned()))
    }
}

impl SandboxKeys {
    /// New keys from the system's randomness, with packet keys for these numbers of bins.
    #[must_use]
    pub fn fresh(bins: &[usize]) -> Self {
        let mut system = rand::rng();
        Self::draw(bins, |_| ChaCha20Rng::from_rng(&mut system))
    }

    /// The same keys for the same seed. **For tests and benches only**: whoever knows the seed knows every key.
    #[must_use]
    pub fn from_seed(seed: u64, bins: &[usize]) -> Self {
        Self::draw(bins, |label| {
            let hash = Sha256::new().chain_update(DOMAIN).chain_update(seed.to_be_bytes());
            ChaCha20Rng::from_seed(hash.chain_update(label).finalize().into())
        })
    }

    /// Each key has a generator of its own, so that one more key some day changes none of these.
    fn draw(bins: &[usize], mut generator: impl FnMut(&str) -> ChaCha20Rng) -> Self {
        let processors = Role::ALL.map(|role| ProcessorKeys {
            role,
            packet: bins
                .iter()
                .map(|&bins| {
                    let key = PacketPrivateKey::generate(&mut generator(&format!("{role} packet {bins} 1")));
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

    /// The keys that shares of this many bins are sealed to, in order of the processors' index.
    ///
    /// # Errors
    /// [`Error::Setting`] if the sandbox was made without packet keys for this many bins.
    pub fn for_clients(&self, bins: usize) -> Result<Vec<ProcessorKey>, Error> {
        let public = |keys: &ProcessorKeys| {
            let missing = || Error::Setting(format!("the sandbox has no packet keys for {bins} bins"));
            Ok(ProcessorKey {
                key_id: Some(packet_key_id(keys.role, bins)),
                public: *keys.packet.get(&bins).ok_or_else(missing)?.public(),
            })
        };
        self.processors.iter().map(public).collect()
    }

    /// The same as the configuration of clients has them; none if there are no packet keys for this many bins.
    #[must_use]
    pub fn client_keys(&self, bins: u32) -> Option<[ClientKey; 2]> {
        let keys = self.for_clients(usize::try_from(bins).ok()?).ok()?;
        let key = |key: ProcessorKey| ClientKey {
            encryption_key_id: key.key_id.unwrap_or_default(),
            public_key: key.public.to_x962_base64(),
            bins,
        };
        keys.into_iter().map(key).collect::<Vec<_>>().try_into().ok()
    }

    /// The packet keys of a processor as it announces them.
    #[must_use]
    pub fn announced(&self, role: Role) -> Vec<AnnouncedPacketKey> {
        let announced = |(bins, key): (&usize, &PacketPrivateKey)| AnnouncedPacketKey {
            id: packet_key_id(role, *bins),
            // A sandbox has no metric with more bins than a header can name.
            bins: u32::try_from(*bins).unwrap_or(u32::MAX),
            public_key: key.public().to_x962_base64(),
        };
        self.processors[role.index()].packet.iter().map(announced).collect()
    }

    /// The numbers of bins that there are packet keys for, in order.
    #[must_use]
    pub fn bins(&self) -> Vec<usize> {
        self.processors[0].packet.keys().copied().collect()
    }

    /// Writes every key into `directory`, secrets readable by their owner alone.
    ///
    /// # Errors
    /// [`Error::File`], also if one of the files is there already.
    pub fn write(&self, directory: &Path) -> Result<(), Error> {
        let secret = |name: String, text: &str| write_new(directory.join(name), text, 0o600);
        let public = |name: String, text: &str| write_new(directory.join(name), text, 0o644);
        for keys in &self.processors {
            let role = keys.role;
            for (&bins, key) in &keys.packet {
                secret(packet_key_file(role, bins), &packet_key_document(role, bins, key)?)?;
                public(packet_public_file(role, bins), &key.public().to_x962_base64())?;
            }
            secret(signing_key_file(role), &keys.signing.to_pkcs8_base64())?;
            public(verifying_key_file(role), &keys.signing.verifying_key().to_spki_pem())?;
            secret(sealing_key_file(role), &keys.sealing.to_base64())?;
            let record = RecordKey::from_bytes(keys.sealing.record_key());
            secret(record_key_file(role), &record.to_text())?;
        }
        let ingestor = &self.ingestor_signing;
        secret(format!("{INGESTOR_KEY_ID}.pkcs8.b64"), &ingestor.to_pkcs8_base64())?;
        public(ingestor_verifying_key_file(), &ingestor.verifying_key().to_spki_pem())?;
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

/// The numbers of bins of all metrics that a sandbox knows by name, in order.
#[must_use]
pub fn known_bins() -> Vec<usize> {
    let known: Vec<Metric> = METRICS.iter().chain(EXAMPLES).copied().collect();
    bins_of(&known)
}

/// The numbers of bins of these metrics, in order.
#[must_use]
pub fn bins_of(metrics: &[Metric]) -> Vec<usize> {
    let mut bins: Vec<usize> = metrics.iter().map(Metric::bins).collect();
    bins.sort_unstable();
    bins.dedup();
    bins
}

/// The document of a packet key: it opens packets of the sandbox's instance and of this many bins.
fn packet_key_document(role: Role, bins: usize, key: &PacketPrivateKey) -> Result<Zeroizing<String>, Error> {
    let unusable = |error: KeyError| Error::Setting(format!("a packet key for {bins} bins: {error}"));
    let document = PacketKeyDocument {
        id: packet_key_id(role, bins),
        instance: INSTANCE.to_owned(),
        bins: u32::try_from(bins).unwrap_or(u32::MAX),
        // The same in every sandbox, so that a seed gives the same files.
        created: "2020-01-01T00:00:00Z".to_owned(),
        key: PacketPrivateKey::parse(&key.to_x963_base64()).map_err(unusable)?,
    };
    document.to_json().map_err(unusable)
}

/// The identifier of a processor's packet key for shares of this many bins.
#[must_use]
pub fn packet_key_id(role: Role, bins: usize) -> String {
    format!("{role}-packet-{bins}-1")
}

/// The identifier of a processor's signing key.
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

/// Writes a file that must not be there, with these permissions where the system has such, and one newline at its end.
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
        let packet = |keys: &SandboxKeys, index: usize| keys.processors[index].packet[&5].public().fingerprint();
        let one = SandboxKeys::from_seed(7, &[5, 6]);
        assert_eq!(packet(&one, 0), packet(&SandboxKeys::from_seed(7, &[5]), 0));
        assert_ne!(packet(&one, 0), packet(&one, 1));
        assert_ne!(packet(&one, 0), packet(&SandboxKeys::from_seed(8, &[5]), 0));
        assert_ne!(packet(&one, 0), one.processors[0].packet[&6].public().fingerprint());
        let fresh = || packet(&SandboxKeys::fresh(&[5]), 0);
        assert_ne!(fresh(), fresh());
        assert_eq!(one.bins(), [5, 6]);
        assert!(one.for_clients(7).is_err());
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
        let verifying = tallybox_crypto::VerifyingKey::parse(&read(ingestor_verifying_key_file())).unwrap();
        assert!(verifying.verify(b"x", &keys.ingestor_signing.sign(b"x")).is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let file = directory.path().join(sealing_key_file(Role::First));
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(keys.write(directory.path()).is_err(), "nothing is overwritten");
    }
}
