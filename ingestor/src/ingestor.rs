//! The ingestor as the configuration describes it: buckets, keys, registry and localities.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use tallybox_crypto::{IngestorSecret, KeyPurposes, PacketPublicKey, SigningKey, VerifyingKey};
use tallybox_model::client_config::AttestationPolicy;
use tallybox_model::id::{Instance, KeyId};
use tallybox_model::registry::Registry;
use tallybox_model::spool::SpoolNames;
use tallybox_service::config::{Loaded, NamedKey, load};
use tallybox_service::key_file::{read_public, read_secret};
use tallybox_transport::{BucketPlace, RecordKey, Records, SharedBucket};

use crate::attestation::SharedVerifier;
use crate::config::{
    AcceptanceConfig, BatchConfig, Config, LocalityConfig, ManifestConfig, ServeConfig,
};
use crate::error::Error;
use crate::packet_keys;
use crate::signer::{BatchSigner, FileSigner};
use tallybox_service::clock::Clock;

/// The state that all commands of an ingestor share, opened from its configuration.
#[derive(Debug)]
pub struct Ingestor {
    /// Name of the ingestor.
    pub name: String,
    /// Addresses and limits of the HTTP server.
    pub serve: ServeConfig,
    /// Rules for cutting windows into batches.
    pub batches: BatchConfig,
    /// The reports that the server admits.
    pub acceptance: AcceptanceConfig,
    /// Contents of the manifest in addition to the signing key.
    pub manifest: ManifestConfig,
    /// Public keys of other signing keys, for the manifest.
    pub other_public_keys: BTreeMap<KeyId, VerifyingKey>,
    /// The signer of batches.
    pub signer: Arc<dyn BatchSigner>,
    /// The key that signs the configuration for clients, with its id.
    pub config_key: (KeyId, SigningKey),
    /// The secrets. New plans use the first.
    pub secrets: Vec<IngestorSecret>,
    /// Authenticates the objects of the spool: writes with the first secret, verifies with any.
    pub records: Records,
    /// The metric registry.
    pub registry: LiveRegistry,
    /// The bucket of accepted reports.
    pub spool: SharedBucket,
    /// The localities by name.
    pub localities: BTreeMap<String, Locality>,
    /// The clock of the server.
    pub clock: Clock,
    /// The clock of the clients, if it differs: in a sandbox, windows pass faster than the clocks
    /// of its clients.
    pub clients_clock: Option<Clock>,
}

/// A locality with its keys and mailboxes.
#[derive(Debug)]
pub struct Locality {
    /// Name of the locality, as in URLs.
    pub name: String,
    /// The instance: locality and ingestor.
    pub instance: Instance,
    /// Names of the locality's objects in the spool.
    pub names: SpoolNames,
    /// Attestation policy: whether reports need an attestation.
    pub attestation: AttestationPolicy,
    /// The verifier of attestations. Present unless the policy is `none`.
    pub verifier: Option<SharedVerifier>,
    /// Pairs of packet keys. The configuration for clients names the first pair with the metric's
    /// bins; reports under any pair are accepted.
    pub key_pairs: Vec<KeyPair>,
    /// The processors' mailboxes for batches, in order of the processors' index.
    pub mailboxes: [SharedBucket; 2],
}

impl Locality {
    /// Returns for how many minutes after its first arrival a report may be replayed.
    ///
    /// Admission compares the time that a report states with the limits of `acceptance`. No
    /// signature covers this time, so an attested report can be replayed for as long as its key is
    /// accepted.
    #[must_use]
    pub fn replay_minutes(&self, acceptance: &AcceptanceConfig) -> u64 {
        let stated =
            u64::from(acceptance.max_age_hours) * 60 + u64::from(acceptance.max_ahead_minutes);
        let attested = self
            .verifier
            .as_ref()
            .map_or(0, |verifier| verifier.key_minutes());
        stated.max(attested)
    }

    /// Returns the key pair that the configuration for clients names for metrics with this number
    /// of bins.
    #[must_use]
    pub fn key_pair(&self, bins: u32) -> Option<&KeyPair> {
        self.key_pairs.iter().find(|pair| pair.bins == bins)
    }
}

/// A pair of the processors' packet keys, for shares of metrics with one number of bins.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The number of bins.
    pub bins: u32,
    /// The keys, in order of the processors' index.
    pub keys: [NamedPacketKey; 2],
}

/// A processor's packet key.
#[derive(Clone, Debug)]
pub struct NamedPacketKey {
    /// Id of the key.
    pub id: KeyId,
    /// The public key.
    pub public: PacketPublicKey,
}

/// The metric registry, which can be reloaded from its file.
#[derive(Debug)]
pub struct LiveRegistry {
    file: PathBuf,
    current: RwLock<Arc<Registry>>,
}

impl LiveRegistry {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Config`] that names the file, the line and the cause.
    pub fn load(file: PathBuf) -> Result<Self, Error> {
        let current = RwLock::new(Arc::new(load::<Registry>(&file)?.value));
        Ok(Self { file, current })
    }

    /// Returns the registry that is in force.
    #[must_use]
    pub fn current(&self) -> Arc<Registry> {
        // The value behind the lock is replaced as a whole, so a panic elsewhere leaves a complete
        // one.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again and returns whether the registry has changed.
    ///
    /// If the file cannot be read, or `check` rejects the registry, the old registry stays in
    /// force.
    ///
    /// # Errors
    /// Those of [`load`](Self::load) and of `check`.
    pub fn reload(
        &self,
        check: impl FnOnce(&Registry) -> Result<(), Error>,
    ) -> Result<bool, Error> {
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
    /// [`Error`] that names the file or the setting.
    pub fn open(config: &Loaded<Config>) -> Result<Self, Error> {
        let value = &config.value;
        crate::config::check(value).map_err(Error::Setting)?;
        let secrets = value.secrets.iter();
        let secrets = secrets.map(|secret| {
            read_secret(
                &config.resolve(&secret.file),
                "secret",
                IngestorSecret::parse,
            )
        });
        let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
        let records = records(&secrets, &value.ingestor);
        let signer = FileSigner {
            id: value.batch_signing_key.id.clone(),
            key: read_secret(
                &config.resolve(&value.batch_signing_key.file),
                "batch signing key",
                SigningKey::parse,
            )?,
        };
        let config_key = &value.client_config_key;
        let other_keys = value.manifest.other_public_keys.iter();
        let other_keys = other_keys.map(|(id, file)| {
            Ok((
                id.clone(),
                read_public(&config.resolve(file), "public key", VerifyingKey::parse)?,
            ))
        });
        let localities = value.localities.iter();
        let localities = localities
            .map(|(name, locality)| Ok((name.clone(), open_locality(config, name, locality)?)));
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
                read_secret(
                    &config.resolve(&config_key.file),
                    "client configuration key",
                    SigningKey::parse,
                )?,
            ),
            secrets,
            records: records
                .ok_or_else(|| Error::Setting("secrets: name at least one secret".to_owned()))?,
            registry,
            spool: open_bucket(config, &value.spool)?,
            localities,
            clock: Clock::system(),
            clients_clock: None,
        };
        ingestor.check_purposes()?;
        Ok(ingestor)
    }

    /// Rejects a key pair that serves two purposes. If both packet keys of a pair were the same
    /// key, one processor could open both shares of a report.
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
        add(
            "client configuration key",
            id,
            key.verifying_key().fingerprint(),
        )?;
        let pairs = self
            .localities
            .values()
            .flat_map(|locality| &locality.key_pairs);
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

    /// Reads the registry's file again and returns whether the registry has changed. A registry
    /// that is rejected leaves the old one in force.
    ///
    /// # Errors
    /// [`Error::Config`] for a file that cannot be read, [`Error::Setting`] for a metric without
    /// packet keys.
    pub fn reload_registry(&self) -> Result<bool, Error> {
        self.registry
            .reload(|fresh| packet_keys::check_registry(&self.localities, fresh))
    }

    /// Returns the clients' time in milliseconds since the epoch. The times of reports and of the
    /// configuration for clients refer to it.
    #[must_use]
    pub fn clients_millis(&self) -> i64 {
        self.clients_clock.as_ref().unwrap_or(&self.clock).millis()
    }

    /// Returns the secret with this id.
    #[must_use]
    pub fn secret(&self, id: &str) -> Option<&IngestorSecret> {
        self.secrets.iter().find(|secret| secret.id() == id)
    }
}

/// Returns the record keys of an ingestor's spool, or `None` without a secret.
#[must_use]
pub fn records(secrets: &[IngestorSecret], ingestor: &str) -> Option<Records> {
    let keys = secrets
        .iter()
        .map(|secret| RecordKey::from_bytes(secret.record_key()));
    Records::of_ingestor(keys, ingestor)
}

/// Returns the server settings with the paths of the certificate files resolved.
fn resolve_tls(config: &Loaded<Config>) -> ServeConfig {
    let mut serve = config.value.serve.clone();
    if let Some(tls) = &mut serve.tls {
        tls.certificates = config.resolve(&tls.certificates);
        tls.private_key = config.resolve(&tls.private_key);
    }
    serve
}

fn open_locality(
    config: &Loaded<Config>,
    name: &str,
    locality: &LocalityConfig,
) -> Result<Locality, Error> {
    let instance: Instance = format!("{name}-{}", config.value.ingestor)
        .parse()
        .map_err(|error| Error::Setting(format!("localities.{name}: {error}")))?;
    let key = |key: &NamedKey| -> Result<NamedPacketKey, Error> {
        let file = config.resolve(&key.file);
        let public = read_public(&file, "packet encryption key", PacketPublicKey::parse)?;
        let id = key.id.clone();
        Ok(NamedPacketKey { id, public })
    };
    let pairs = locality.packet_keys.iter();
    let pairs = pairs.map(|pair| {
        let keys = [key(&pair.first)?, key(&pair.second)?];
        Ok(KeyPair {
            bins: pair.bins,
            keys,
        })
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

/// Opens a bucket. A failure is an error of the configuration.
fn open_bucket(config: &Loaded<Config>, location: &BucketPlace) -> Result<SharedBucket, Error> {
    location
        .open(&config.directory)
        .map_err(|error| Error::Setting(error.to_string()))
}
