//! What the configuration opens: buckets, keys, limits, threads.

use crate::aggregate::RejectionLimits;
use crate::budget::Budget;
use crate::cache::Cache;
use crate::config::{Config, Points, Rosters, ValidationForm};
use crate::error::Error;
use crate::packet_keys;
use crate::roster::{RosterRules, horizons};
use crate::wear::WearLimits;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tallybox_crypto::{KeyError, KeyPurposes, SealingKey, SigningKey, VerifyingKey};
use tallybox_model::avro::Limits;
use tallybox_model::digest::Digest;
use tallybox_model::id::{Instance, KeyId};
use tallybox_model::marker::ENCODER_GENERATION;
use tallybox_model::path::BatchObjects;
use tallybox_model::registry::Registry;
use tallybox_model::role::Role;
use tallybox_service::clock::Clock;
use tallybox_service::config::{Loaded, load};
use tallybox_service::secret_file;
use tallybox_transport::batch::{BatchError, SignedBatch, TrustedKeys};
use tallybox_transport::{Bucket, BucketError, BucketPlace, RecordKey, Records, SharedBucket};
use zeroize::Zeroizing;

pub use crate::packet_keys::PacketKey;

/// The buckets of a processor.
#[derive(Clone, Debug)]
pub struct ProcessorBuckets {
    /// The ingestor writes, we read.
    pub ingestion: SharedBucket,
    /// Ours alone.
    pub own: SharedBucket,
    /// The peer writes, we read.
    pub peer_validation_in: SharedBucket,
    /// We write, the peer reads.
    pub peer_validation_out: SharedBucket,
    /// We write, the portal reads.
    pub sum_parts: SharedBucket,
}

/// When a batch of which nearly all packets fail as with a wrong key of ours is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongKeyRule {
    /// Packets from which a batch is large enough to tell.
    pub packets: u64,
    /// An operator says that the batch is at fault.
    pub accept: bool,
}

impl Default for WrongKeyRule {
    fn default() -> Self {
        Self {
            packets: 20,
            accept: false,
        }
    }
}

/// A processor, ready to work: everything that its commands share.
#[derive(Debug)]
pub struct Processor {
    /// Locality and ingestor.
    pub instance: Instance,
    /// First or second.
    pub role: Role,
    /// In the order in which they are tried.
    pub packet_keys: Vec<PacketKey>,
    /// The identifier of the signing key.
    pub signing_key_id: KeyId,
    /// What signs our batches.
    pub signing_key: SigningKey,
    /// What our batches verify with: the signing key's public half and those of earlier ones.
    pub own_keys: TrustedKeys,
    /// The first seals, all open.
    pub sealing_keys: Vec<SealingKey>,
    /// What makes and verifies every other object of the own bucket.
    pub records: Records,
    /// Where everything is.
    pub buckets: ProcessorBuckets,
    /// What the ingestor signs with.
    pub ingestor_keys: TrustedKeys,
    /// What the peer signs with.
    pub peer_keys: TrustedKeys,
    /// Where evaluation points come from.
    pub points: Points,
    /// How our validations are written.
    pub validation_form: ValidationForm,
    /// The fewest accepted packets for a sum part.
    pub minimum_contributions: u64,
    /// Above which share of rejected packets a sum part is held.
    pub rejection_limits: RejectionLimits,
    /// By which rules windows are agreed on, if they are.
    pub rosters: Option<RosterRules>,
    /// When a batch waits since a wrong key of ours may be at fault.
    pub wrong_key: WrongKeyRule,
    /// Without rosters: how long after a window's end a batch that the task names is waited for, in minutes.
    pub leave_out_after_minutes: u32,
    /// The metrics whose batches are taken, and their parameters; without it every header is taken as it is.
    pub registry: Option<Arc<Registry>>,
    /// After how many failed proofs a packet key is worn, and worn out.
    pub wear: WearLimits,
    /// Whether packets are counted as the predecessor does.
    pub legacy_count: bool,
    /// What readers take.
    pub limits: Limits,
    /// What opens packets.
    pub pool: Arc<rayon::ThreadPool>,
    /// Memory for the packets of all batches that are worked on; without bounds but in a worker.
    pub budget: Budget,
    /// What never changes once it stands in the own bucket, kept between batches.
    pub cache: Cache,
    /// What time it is.
    pub clock: Clock,
    /// The generation of the encoders; [`ENCODER_GENERATION`] but in tests of what a change of it does.
    pub generation: u32,
}

impl Processor {
    /// Reads the key files and opens the buckets that a configuration names.
    ///
    /// # Errors
    /// [`Error`] that names the file or the key of the configuration.
    pub fn open(config: &Loaded<Config>) -> Result<Self, Error> {
        let value = &config.value;
        let registry = read_registry(config)?;
        horizons::check(value, registry.as_ref())?;
        let buckets = open_buckets(config)?;
        let signing_key = secret_key(
            config,
            &value.batch_signing_key.file,
            "batch signing key",
            SigningKey::parse,
        )?;
        let sealing = value.prepared_sealing_key.as_slice();
        let sealing_keys = sealing
            .iter()
            .map(|key| secret_key(config, &key.file, "prepared sealing key", SealingKey::parse))
            .collect::<Result<Vec<_>, _>>()?;
        accept_risk(value)?;
        let packet_keys = packet_keys::read(config)?;
        if let Some(registry) = &registry {
            packet_keys::cover(registry, &packet_keys)?;
        }
        let record_keys = sealing_keys.iter().map(|key| RecordKey::from_bytes(key.record_key()));
        let records = Records::of_processor(record_keys, &value.instance, value.role);
        let (false, Some(records)) = (packet_keys.is_empty(), records) else {
            return Err(Error::Setting(
                "packet-decryption-keys and prepared-sealing-key need a key each".to_owned(),
            ));
        };
        if value.minimum_contributions == 0 {
            return Err(Error::Setting(
                "minimum-contributions has to be 1 or more: a sum of no packets protects no client".to_owned(),
            ));
        }
        let mut own_keys = trusted(config, &value.earlier_public_keys)?;
        own_keys.insert(value.batch_signing_key.id.clone(), signing_key.verifying_key());
        let ingestor_keys = trusted(config, &value.ingestor_public_keys)?;
        let peer_keys = trusted(config, &value.peer_public_keys)?;
        check_purposes(&packet_keys, [&own_keys, &ingestor_keys, &peer_keys])?;
        Ok(Self {
            own_keys,
            instance: value.instance.clone(),
            role: value.role,
            packet_keys,
            signing_key_id: value.batch_signing_key.id.clone(),
            signing_key,
            sealing_keys,
            records,
            buckets,
            ingestor_keys,
            peer_keys,
            points: value.points,
            validation_form: value.validation_form,
            minimum_contributions: value.minimum_contributions,
            rejection_limits: rejection_limits(value)?,
            rosters: value.rosters.as_ref().map(|rosters| rules(value, rosters)),
            wrong_key: WrongKeyRule::default(),
            leave_out_after_minutes: value.leave_out_after_minutes,
            registry: registry.map(Arc::new),
            wear: WearLimits::default(),
            legacy_count: value.legacy_count,
            limits: value.limits.clone(),
            pool: Arc::new(pool(value.threads)?),
            budget: Budget::default(),
            cache: Cache::default(),
            clock: Clock::system(),
            generation: ENCODER_GENERATION,
        })
    }
}

/// Refuses a point for each packet, unless the risk has been accepted in writing, and warns of it then.
fn accept_risk(config: &Config) -> Result<(), Error> {
    if config.points == Points::Pinned {
        return Ok(());
    }
    if !config.accept_replay_risk {
        return Err(Error::Setting(
            "points: per-packet needs `accept-replay-risk: true`: without a pinned point, a ciphertext that stands in two \
             batches is evaluated twice, from which a peer that can put ciphertexts into batches, or an ingestor that \
             writes a packet again, learns the client's answer; see \"One point per packet key\" in docs/operating.md"
                .to_owned(),
        ));
    }
    tracing::warn!(
        instance = %config.instance,
        role = %config.role,
        "points: per-packet does not protect clients whose packets are written into a second batch; accepted by \
         accept-replay-risk"
    );
    Ok(())
}

/// Reads the registry that the configuration names.
fn read_registry(config: &Loaded<Config>) -> Result<Option<Registry>, Error> {
    let Some(place) = &config.value.registry else {
        return Ok(None);
    };
    Ok(Some(load::<Registry>(&config.resolve(&place.file))?.value))
}

/// Whether a mailbox holds a batch of ours under these names: a signature of ours over exactly this header.
///
/// # Errors
/// [`Error::Bucket`] if the mailbox cannot be reached.
pub(crate) async fn has_published(
    processor: &Processor,
    bucket: &dyn Bucket,
    objects: &BatchObjects,
    header: Digest,
) -> Result<bool, Error> {
    match SignedBatch::open(bucket, objects.clone(), &processor.own_keys, &Limits::default()).await {
        Ok(batch) => Ok(batch.header_digest() == header),
        // Not there, not readable, or not ours: the attempt to create it will say.
        Err(BatchError::Bucket(error @ BucketError::Unavailable { .. })) => Err(error.into()),
        Err(_) => Ok(false),
    }
}

fn rejection_limits(config: &Config) -> Result<RejectionLimits, Error> {
    let by_metric = &config.maximum_rejected_share_by_metric;
    let default = config.maximum_rejected_share;
    for share in by_metric.values().chain([&default]) {
        // A share of 0 would hold every window with one bad packet; what is not a number is no limit.
        if !(*share > 0.0 && *share <= 1.0) {
            return Err(Error::Setting(format!(
                "maximum-rejected-share: {share} is not above 0 and at most 1"
            )));
        }
    }
    Ok(RejectionLimits {
        default,
        by_metric: by_metric.clone(),
    })
}

fn rules(config: &Config, rosters: &Rosters) -> RosterRules {
    RosterRules {
        origin: rosters.origin,
        period_minutes: rosters.period_minutes,
        grace_minutes: rosters.grace_minutes,
        replay_horizon: rosters.replay_horizon_windows,
        minimum: config.minimum_contributions,
        maximum_age: rosters.maximum_age_windows,
    }
}

fn pool(threads: Option<usize>) -> Result<rayon::ThreadPool, Error> {
    let builder = rayon::ThreadPoolBuilder::new().thread_name(|i| format!("packets-{i}"));
    let builder = builder.num_threads(threads.unwrap_or(0));
    // A packet that makes a thread panic costs its batch this run, not the process.
    let builder = builder.panic_handler(|_| tracing::error!("a thread that opens packets panicked"));
    builder
        .build()
        .map_err(|error| Error::Setting(format!("cannot start threads: {error}")))
}

fn open_buckets(config: &Loaded<Config>) -> Result<ProcessorBuckets, Error> {
    let open_one =
        |place: &BucketPlace| -> Result<SharedBucket, Error> { place.open(&config.directory).map_err(usage) };
    let buckets = &config.value.buckets;
    Ok(ProcessorBuckets {
        ingestion: open_one(&buckets.ingestion)?,
        own: open_one(&buckets.own)?,
        peer_validation_in: open_one(&buckets.peer_validation_in)?,
        peer_validation_out: open_one(&buckets.peer_validation_out)?,
        sum_parts: open_one(&buckets.sum_parts)?,
    })
}

/// A bucket that cannot be opened is a fault of the configuration.
fn usage(error: tallybox_transport::BucketError) -> Error {
    Error::Setting(error.to_string())
}

/// Refuses a key pair that serves two purposes; `trusted` are our own keys, the ingestor's and the peer's.
fn check_purposes(packet_keys: &[PacketKey], trusted: [&TrustedKeys; 3]) -> Result<(), Error> {
    let mut purposes = KeyPurposes::default();
    let mut add = |purpose, name: &KeyId, fingerprint| {
        let added = purposes.add(purpose, name, fingerprint);
        added.map_err(|reuse| Error::Setting(reuse.to_string()))
    };
    for key in packet_keys {
        add("packet decryption key", &key.id, key.fingerprint.clone())?;
    }
    let named = ["batch signing key of ours", "ingestor public key", "peer public key"];
    for (purpose, keys) in named.into_iter().zip(trusted) {
        for (id, key) in keys {
            add(purpose, id, key.fingerprint())?;
        }
    }
    Ok(())
}

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

/// Reads a public key.
fn public_key(config: &Loaded<Config>, file: &Path) -> Result<VerifyingKey, Error> {
    read_public(&config.resolve(file))
}

/// Reads the public key in this file.
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

fn trusted(config: &Loaded<Config>, files: &BTreeMap<KeyId, std::path::PathBuf>) -> Result<TrustedKeys, Error> {
    let read = |(id, file): (&KeyId, &std::path::PathBuf)| Ok((id.clone(), public_key(config, file)?));
    files.iter().map(read).collect()
}
