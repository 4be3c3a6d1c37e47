//! The state that the configuration describes: buckets, keys, limits, threads.

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
    /// Ingestion batches. The ingestor writes, this processor reads.
    pub ingestion: SharedBucket,
    /// The processor's own bucket; no other party has access.
    pub own: SharedBucket,
    /// Validation batches of the peer. The peer writes, this processor reads.
    pub peer_validation_in: SharedBucket,
    /// Validation batches of this processor. This processor writes, the peer reads.
    pub peer_validation_out: SharedBucket,
    /// Sum parts. This processor writes, the portal reads.
    pub sum_parts: SharedBucket,
}

/// The rule that holds back a batch whose packets nearly all fail as with a wrong key of this
/// processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongKeyRule {
    /// The smallest number of packets at which the rule applies.
    pub packets: u64,
    /// True if an operator has confirmed that the batch itself is at fault.
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

/// A processor, ready to work: the state that its commands share.
#[derive(Debug)]
pub struct Processor {
    /// Locality and ingestor.
    pub instance: Instance,
    /// The processor's role, first or second.
    pub role: Role,
    /// The packet keys, in the order in which they are tried.
    pub packet_keys: Vec<PacketKey>,
    /// The identifier of the signing key.
    pub signing_key_id: KeyId,
    /// The key that signs the batches of this processor.
    pub signing_key: SigningKey,
    /// The keys that verify the batches of this processor: the public halves of the signing key and
    /// of earlier ones.
    pub own_keys: TrustedKeys,
    /// The keys of prepared batches. The first seals; all open.
    pub sealing_keys: Vec<SealingKey>,
    /// Writes and verifies every other object of the own bucket.
    pub records: Records,
    /// The buckets.
    pub buckets: ProcessorBuckets,
    /// The keys that verify the ingestor's batches.
    pub ingestor_keys: TrustedKeys,
    /// The keys that verify the peer's batches.
    pub peer_keys: TrustedKeys,
    /// How evaluation points are assigned to packets.
    pub points: Points,
    /// The form of the validation batches.
    pub validation_form: ValidationForm,
    /// The fewest accepted packets for which a sum part is released.
    pub minimum_contributions: u64,
    /// The fractions of rejected packets above which a sum part is held.
    pub rejection_limits: RejectionLimits,
    /// The rules by which windows are agreed on; `None` without rosters.
    pub rosters: Option<RosterRules>,
    /// The rule for batches that fail as with a wrong key of this processor.
    pub wrong_key: WrongKeyRule,
    /// Without rosters: the number of minutes after a window's end for which the window waits for a
    /// batch that its task names.
    pub leave_out_after_minutes: u32,
    /// The accepted metrics and their parameters. Without a registry every header is accepted.
    pub registry: Option<Arc<Registry>>,
    /// The numbers of failed proofs at which a packet key raises an alarm and at which it is
    /// refused.
    pub wear: WearLimits,
    /// True if packets are counted as the predecessor counts them.
    pub legacy_count: bool,
    /// Size limits for files that other parties wrote.
    pub limits: Limits,
    /// The threads that open packets.
    pub pool: Arc<rayon::ThreadPool>,
    /// The memory budget for the packets of concurrent batches; unlimited except in a worker.
    pub budget: Budget,
    /// Cached objects of the own bucket that never change.
    pub cache: Cache,
    /// The source of the current time.
    pub clock: Clock,
    /// The generation of the encoders: [`ENCODER_GENERATION`], except in tests of a generation
    /// change.
    pub generation: u32,
}

impl Processor {
    /// Reads the key files and opens the buckets that a configuration names.
    ///
    /// # Errors
    /// [`Error`] that names the file or the configuration key.
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
        let record_keys = sealing_keys
            .iter()
            .map(|key| RecordKey::from_bytes(key.record_key()));
        let records = Records::of_processor(record_keys, &value.instance, value.role);
        let (false, Some(records)) = (packet_keys.is_empty(), records) else {
            return Err(Error::Setting(
                "packet-decryption-keys and prepared-sealing-key each need at least one key"
                    .to_owned(),
            ));
        };
        if value.minimum_contributions == 0 {
            return Err(Error::Setting(
                "minimum-contributions must be at least 1: a sum over no packets protects no \
                 client"
                    .to_owned(),
            ));
        }
        let mut own_keys = trusted(config, &value.earlier_public_keys)?;
        // Inserted last, so that the present key replaces an earlier one with the same identifier.
        own_keys.insert(
            value.batch_signing_key.id.clone(),
            signing_key.verifying_key(),
        );
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

/// Refuses `points: per-packet` unless the configuration accepts its risk, and logs a warning if it
/// does.
fn accept_risk(config: &Config) -> Result<(), Error> {
    if config.points == Points::Pinned {
        return Ok(());
    }
    if !config.accept_replay_risk {
        return Err(Error::Setting(
            "points: per-packet needs `accept-replay-risk: true`: without a pinned point, a \
             ciphertext that is in two batches is evaluated twice, and a peer that can insert \
             ciphertexts into batches, or an ingestor that writes a packet twice, learns the \
             client's answer; see \"One point per packet key\" in docs/operating.md"
                .to_owned(),
        ));
    }
    tracing::warn!(
        instance = %config.instance,
        role = %config.role,
        "points: per-packet does not protect clients whose packets are copied into a second \
         batch; the risk is accepted by accept-replay-risk"
    );
    Ok(())
}

/// Reads the registry that the configuration names.
fn read_registry(config: &Loaded<Config>) -> Result<Option<Registry>, Error> {
    let Some(registry) = &config.value.registry else {
        return Ok(None);
    };
    Ok(Some(
        load::<Registry>(&config.resolve(&registry.file))?.value,
    ))
}

/// Returns whether a mailbox contains a batch of this processor under these names: one of its
/// signatures over exactly this header.
///
/// # Errors
/// [`Error::Bucket`] if the mailbox cannot be reached.
pub(crate) async fn has_published(
    processor: &Processor,
    bucket: &dyn Bucket,
    objects: &BatchObjects,
    header: Digest,
) -> Result<bool, Error> {
    match SignedBatch::open(
        bucket,
        objects.clone(),
        &processor.own_keys,
        &Limits::default(),
    )
    .await
    {
        Ok(batch) => Ok(batch.header_digest() == header),
        // Missing, unreadable, or signed by another party: the later attempt to create the object
        // finds the conflict, if there is one.
        Err(BatchError::Bucket(error @ BucketError::Unavailable { .. })) => Err(error.into()),
        Err(_) => Ok(false),
    }
}

fn rejection_limits(config: &Config) -> Result<RejectionLimits, Error> {
    let by_metric = &config.maximum_rejected_share_by_metric;
    let default = config.maximum_rejected_share;
    for share in by_metric.values().chain([&default]) {
        // A limit of 0 would hold every window with one bad packet; NaN compares false to
        // everything and so would be no limit.
        if !(*share > 0.0 && *share <= 1.0) {
            return Err(Error::Setting(format!(
                "maximum-rejected-share: {share} is out of range; it must be greater than 0 and \
                 at most 1"
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
    // 0 lets rayon start one thread per core.
    let builder = builder.num_threads(threads.unwrap_or(0));
    // A packet that makes a thread panic fails its batch in this run; the process continues.
    let builder =
        builder.panic_handler(|_| tracing::error!("a thread that opens packets panicked"));
    builder
        .build()
        .map_err(|error| Error::Setting(format!("cannot start threads: {error}")))
}

fn open_buckets(config: &Loaded<Config>) -> Result<ProcessorBuckets, Error> {
    let open_bucket = |place: &BucketPlace| -> Result<SharedBucket, Error> {
        place.open(&config.directory).map_err(usage)
    };
    let buckets = &config.value.buckets;
    Ok(ProcessorBuckets {
        ingestion: open_bucket(&buckets.ingestion)?,
        own: open_bucket(&buckets.own)?,
        peer_validation_in: open_bucket(&buckets.peer_validation_in)?,
        peer_validation_out: open_bucket(&buckets.peer_validation_out)?,
        sum_parts: open_bucket(&buckets.sum_parts)?,
    })
}

/// Turns the error of a bucket that cannot be opened into an error of the configuration.
fn usage(error: tallybox_transport::BucketError) -> Error {
    Error::Setting(error.to_string())
}

/// Refuses a key pair that serves two purposes. `trusted` are the keys of this processor, of the
/// ingestor and of the peer, in this order.
fn check_purposes(packet_keys: &[PacketKey], trusted: [&TrustedKeys; 3]) -> Result<(), Error> {
    let mut purposes = KeyPurposes::default();
    let mut add = |purpose, name: &KeyId, fingerprint| {
        let added = purposes.add(purpose, name, fingerprint);
        added.map_err(|reuse| Error::Setting(reuse.to_string()))
    };
    for key in packet_keys {
        add("packet decryption key", &key.id, key.fingerprint.clone())?;
    }
    let named = [
        "batch signing key of ours",
        "ingestor public key",
        "peer public key",
    ];
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

/// Reads a public key that the configuration names.
fn public_key(config: &Loaded<Config>, file: &Path) -> Result<VerifyingKey, Error> {
    read_public(&config.resolve(file))
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

fn trusted(
    config: &Loaded<Config>,
    files: &BTreeMap<KeyId, std::path::PathBuf>,
) -> Result<TrustedKeys, Error> {
    let read =
        |(id, file): (&KeyId, &std::path::PathBuf)| Ok((id.clone(), public_key(config, file)?));
    files.iter().map(read).collect()
}
