//! What the configuration opens: buckets, keys, the registry, localities.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use tallybox_crypto::{IngestorSecret, KeyError, KeyPurposes, PacketPublicKey, SigningKey, VerifyingKey};
use tallybox_model::client_config::AttestationPolicy;
use tallybox_model::id::{Instance, KeyId};
use tallybox_model::registry::Registry;
use tallybox_model::spool::SpoolNames;
use tallybox_service::config::{Loaded, NamedKey, load};
use tallybox_service::secret_file;
use tallybox_transport::{BucketPlace, RecordKey, Records, SharedBucket};
use zeroize::Zeroizing;

use crate::attestation::SharedVerifier;
use crate::config::{AcceptanceConfig, BatchConfig, Config, LocalityConfig, ManifestConfig, ServeConfig};
use crate::error::Error;
use crate::packet_keys;
use tallybox_service::clock::Clock;

/// An ingestor, ready to work: everything that its commands share.
#[derive(Debug)]
pub struct Ingestor {
    /// Its name.
    pub name: String,
    /// How it listens.
    pub serve: ServeConfig,
    /// How windows are cut.
    pub batches: BatchConfig,
    /// What is taken at the door.
    pub acceptance: AcceptanceConfig,
    /// What the manifest says.
    pub manifest: ManifestConfig,
    /// Public halves of other signing keys, for the manifest.
    pub other_public_keys: BTreeMap<KeyId, VerifyingKey>,
    /// What signs batches.
    pub signer: Arc<dyn BatchSigner>,
    /// What signs the configuration of clients.
    pub config_key: (KeyId, SigningKey),
    /// The first is used for new plans.
    pub secrets: Vec<IngestorSecret>,
    /// What makes and verifies the objects of the spool: with the first secret, and with any.
    pub records: Records,
    /// The metrics.
    pub registry: LiveRegistry,
    /// Where accepted reports wait.
    pub spool: SharedBucket,
    /// The localities by name.
    pub localities: BTreeMap<String, Locality>,
    /// What time it is.
    pub clock: Clock,
    /// What time clients have, if it is another: a sandbox's windows go by faster than its clients' clocks.
    pub clients_clock: Option<Clock>,
}

/// A locality.
#[derive(Debug)]
pub struct Locality {
    /// Its name, as in addresses.
    pub name: String,
    /// Locality and ingestor.
    pub instance: Instance,
    /// The names of its objects in the spool.
    pub names: SpoolNames,
    /// Whether reports have to be attested.
    pub attestation: AttestationPolicy,
    /// What checks attestations; there unless the policy is `none`.
    pub verifier: Option<SharedVerifier>,
    /// Pairs of packet keys. Clients of a metric are told the first with the metric's bins; all are accepted.
    pub key_pairs: Vec<KeyPair>,
    /// Where the processors take batches, in order of their index.
    pub mailboxes: [SharedBucket; 2],
}

impl Locality {
    /// For how many minutes a report may come again, from when it came first. The door takes it for as long by what it
    /// says of its own time; but nothing signs that, so an attested one may come for as long as its key is taken.
    #[must_use]
    pub fn replay_minutes(&self, acceptance: &AcceptanceConfig) -> u64 {
        let stated = u64::from(acceptance.max_age_hours) * 60 + u64::from(acceptance.max_ahead_minutes);
        let attested = self.verifier.as_ref().map_or(0, |verifier| verifier.key_minutes());
        stated.max(attested)
    }

    /// Returns the key pair that clients are told for metrics with this number of bins.
    #[must_use]
    pub fn key_pair(&self, bins: u32) -> Option<&KeyPair> {
        self.key_pairs.iter().find(|pair| pair.bins == bins)
    }
}

/// The packet keys of both processors that shares of metrics with one number of bins are sealed to.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The number of bins.
    pub bins: u32,
    /// The keys, in order of the processors' index.
    pub keys: [PacketKey; 2],
}

/// A processor's packet key.
#[derive(Clone, Debug)]
pub struct PacketKey {
    /// Its id.
    pub id: KeyId,
    /// The key.
    pub public: PacketPublicKey,
}

/// Something that signs batches: a key in a file, or a key that never leaves a cloud's service.
#[async_trait]
pub trait BatchSigner: Send + Sync + std::fmt::Debug {
    /// The id of the key, as manifests name it.
    fn key_id(&self) -> &str;

    /// Its public half.
    fn verifying_key(&self) -> VerifyingKey;

    /// Signs the bytes of a header: ECDSA P-256 with SHA-256, ASN.1 DER.
    ///
    /// # Errors
    /// [`SignError`] if the key cannot be reached.
    async fn sign(&self, header: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A signature cannot be made; trying again may help.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign with key {key_id}: {problem}")]
pub struct SignError {
    /// The key.
    pub key_id: KeyId,
    /// What failed.
    pub problem: String,
}

/// A signing key from a file.
#[derive(Debug)]
pub struct FileSigner {
    id: KeyId,
    key: SigningKey,
}

#[async_trait]
impl BatchSigner for FileSigner {
    fn key_id(&self) -> &str {
        &self.id
    }

    fn verifying_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    async fn sign(&self, header: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.key.sign(header))
    }
}

/// The registry of the configuration, as it stands in its file now.
#[derive(Debug)]
pub struct LiveRegistry {
    file: PathBuf,
    current: RwLock<Arc<Registry>>,
}

impl LiveRegistry {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Config`] that names file, line and what is wrong.
    pub fn load(file: PathBuf) -> Result<Self, Error> {
        let current = RwLock::new(Arc::new(load::<Registry>(&file)?.value));
        Ok(Self { file, current })
    }

    /// The registry in force.
    #[must_use]
    pub fn current(&self) -> Arc<Registry> {
        // What is behind the lock is replaced as a whole, so a panic elsewhere leaves nothing half done.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again and returns whether the registry has changed. A file that cannot be read, or a registry
    /// that `check` refuses, changes nothing.
    ///
    /// # Errors
    /// As [`load`](Self::load), and those of `check`.
    pub fn reload(&self, check: impl FnOnce(&Registry) -> Result<(), Error>) -> Result<bool, Error> {
        let fresh = load::<Registry>(&self.file)?.value;
        let changed = fresh != *self.current();
        if changed {
            check(&fresh)?;
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        }
        Ok(changed)
    }
}

impl Ingestor {
    /// Reads the files and opens the buckets that a configuration names.
    ///
    /// # Errors
    /// [`Error`] that names the file or the key of the configuration.
    pub fn open(config: &Loaded<Config>) -> Result<Self, Error> {
        let value = &config.value;
        crate::config::check(value).map_err(Error::Setting)?;
        let secrets = value.secrets.iter();
        let secrets = secrets.map(|secret| secret_key(config, &secret.file, "secret", IngestorSecret::parse));
        let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
        let records = records(&secrets, &value.ingestor);
        let signer = FileSigner {
            id: value.batch_signing_key.id.clone(),
            key: secret_key(
                config,
                &value.batch_signing_key.file,
                "batch signing key",
                SigningKey::parse,
            )?,
        };
        let config_key = &value.client_config_key;
        let other_keys = value.manifest.other_public_keys.iter();
        let other_keys =
            other_keys.map(|(id, file)| Ok((id.clone(), public_key(config, file, "public key", VerifyingKey::parse)?)));
        let localities = value.localities.iter();
        let localities = localities.map(|(name, locality)| Ok((name.clone(), open_locality(config, name, locality)?)));
        let localities = localities.collect::<Result<_, Error>>()?;
        packet_keys::check_keys(&localities)?;
        let registry = LiveRegistry::load(config.resolve(&value.registry))?;
        packet_keys::check_registry(&localities, &registry.current())?;
        let ingestor = Self {
            name: value.ingestor.clone(),
            serve: resolve_tls(config),
            batches: value.batches.clone(),
            acceptance: value.acceptance.clone(),
            manifest: value.manifest.clone(),
            other_public_keys: other_keys.collect::<Result<_, Error>>()?,
            signer: Arc::new(signer),
            config_key: (
                config_key.id.clone(),
                secret_key(config, &config_key.file, "client configuration key", SigningKey::parse)?,
            ),
            secrets,
            records: records.ok_or_else(|| Error::Setting("secrets: at least one is needed".to_owned()))?,
            registry,
            spool: open_bucket(config, &value.spool)?,
            localities,
            clock: Clock::system(),
            clients_clock: None,
        };
        ingestor.check_purposes()?;
        Ok(ingestor)
    }

    /// Refuses a key pair that serves two purposes; a pair of packet keys that are one key would let one processor open
    /// both shares of a report.
    fn check_purposes(&self) -> Result<(), Error> {
        let mut purposes = KeyPurposes::default();
        let mut add = |purpose, name: &str, fingerprint| {
            let added = purposes.add(purpose, name, fingerprint);
            added.map_err(|reuse| Error::Setting(reuse.to_string()))
        };
        add(
            "batch signing key",
            self.signer.key_id(),
            self.signer.verifying_key().fingerprint(),
        )?;
        let (id, key) = &self.config_key;
        add("client configuration key", id, key.verifying_key().fingerprint())?;
        let pairs = self.localities.values().flat_map(|locality| &locality.key_pairs);
        for [first, second] in pairs.map(|pair| &pair.keys) {
            add(
                "packet key of the first processor",
                &first.id,
                first.public.fingerprint(),
            )?;
            add(
                "packet key of the second processor",
                &second.id,
                second.public.fingerprint(),
            )?;
        }
        Ok(())
    }

    /// Reads the registry's file again and returns whether the registry has changed. A registry that is refused leaves
    /// the old one in force.
    ///
    /// # Errors
    /// [`Error::Config`] for a file that cannot be read, [`Error::Setting`] for a metric without packet keys.
    pub fn reload_registry(&self) -> Result<bool, Error> {
        self.registry
            .reload(|fresh| packet_keys::check_registry(&self.localities, fresh))
    }

    /// What time clients have, in milliseconds since the epoch: what their reports and their configuration go by.
    #[must_use]
    pub fn clients_millis(&self) -> i64 {
        self.clients_clock.as_ref().unwrap_or(&self.clock).millis()
    }

    /// The secret with this id.
    #[must_use]
    pub fn secret(&self, id: &str) -> Option<&IngestorSecret> {
        self.secrets.iter().find(|secret| secret.id() == id)
    }
}

/// What makes and verifies the objects of an ingestor's spool. `None` without a secret.
#[must_use]
pub fn records(secrets: &[IngestorSecret], ingestor: &str) -> Option<Records> {
    let keys = secrets.iter().map(|secret| RecordKey::from_bytes(secret.record_key()));
    Records::of_ingestor(keys, ingestor)
}

/// How it listens, with the certificate's files where they are.
fn resolve_tls(config: &Loaded<Config>) -> ServeConfig {
    let mut serve = config.value.serve.clone();
    if let Some(tls) = &mut serve.tls {
        tls.certificates = config.resolve(&tls.certificates);
        tls.private_key = config.resolve(&tls.private_key);
    }
    serve
}

fn open_locality(config: &Loaded<Config>, name: &str, locality: &LocalityConfig) -> Result<Locality, Error> {
    let instance: Instance = format!("{name}-{}", config.value.ingestor)
        .parse()
        .map_err(|error| Error::Setting(format!("locality {name}: {error}")))?;
    let key = |key: &NamedKey| -> Result<PacketKey, Error> {
        let public = public_key(config, &key.file, "packet encryption key", PacketPublicKey::parse)?;
        let id = key.id.clone();
        Ok(PacketKey { id, public })
    };
    let pairs = locality.packet_keys.iter();
    let pairs = pairs.map(|pair| {
        let keys = [key(&pair.first)?, key(&pair.second)?];
        Ok(KeyPair { bins: pair.bins, keys })
    });
    Ok(Locality {
        name: name.to_owned(),
        names: SpoolNames::new(instance.clone()),
        instance,
        attestation: locality.attestation,
        verifier: crate::attestation::open(config, name, locality)?,
        key_pairs: pairs.collect::<Result<_, Error>>()?,
        mailboxes: [
            open_bucket(config, &locality.first_mailbox)?,
            open_bucket(config, &locality.second_mailbox)?,
        ],
    })
}

/// A bucket that cannot be opened is a fault of the configuration.
fn open_bucket(config: &Loaded<Config>, place: &BucketPlace) -> Result<SharedBucket, Error> {
    place
        .open(&config.directory)
        .map_err(|error| Error::Setting(error.to_string()))
}

/// Reads a private key or another secret.
fn secret_key<T>(
    config: &Loaded<Config>,
    file: &Path,
    what: &'static str,
    parse: impl Fn(&str) -> Result<T, KeyError>,
) -> Result<T, Error> {
    let path = config.resolve(file);
    parse_key(&path, what, secret_file::read(&path), parse)
}

/// Reads a public key.
fn public_key<T>(
    config: &Loaded<Config>,
    file: &Path,
    what: &'static str,
    parse: impl Fn(&str) -> Result<T, KeyError>,
) -> Result<T, Error> {
    let path = config.resolve(file);
    parse_key(&path, what, std::fs::read_to_string(&path).map(Zeroizing::new), parse)
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
