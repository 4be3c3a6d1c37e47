//! Everybody's keys, the same in every run: what is drawn from the seed is what happens, not who is there.

use std::sync::{Arc, LazyLock};

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use tallybox_client::ProcessorKey;
use tallybox_crypto::{IngestorSecret, PacketPrivateKey, SealingKey, SigningKey};
use tallybox_model::role::Role;
use tallybox_transport::batch::TrustedKeys;

/// How many keys of a kind there are: the first, and those that follow when keys are rotated.
pub const EPOCHS: usize = 2;

/// The numbers of bins of the metrics, in the order of [`METRICS`](crate::pool::METRICS). Each has packet keys of its own.
pub const BINS: [usize; 2] = [6, 5];

/// The locality.
pub const LOCALITY: &str = "us-xx";
/// The ingestor's name.
pub const INGESTOR: &str = "ingestor";
/// Locality and ingestor.
pub const INSTANCE: &str = "us-xx-ingestor";

/// The keys of a processor, by epoch.
#[derive(Debug)]
pub struct ProcessorKeys {
    /// What clients seal shares to: for each epoch, a key for each number of bins of [`BINS`].
    pub packet: Vec<[PacketPrivateKey; 2]>,
    /// What signs batches.
    pub signing: Vec<SigningKey>,
    /// What seals its own records.
    pub sealing: Vec<SealingKey>,
}

/// All keys.
#[derive(Debug)]
pub struct Keyring {
    /// Of the processors, in order of their index.
    pub processors: [ProcessorKeys; 2],
    /// Of the ingestor, by epoch.
    pub ingestor: Vec<SigningKey>,
    /// What batch ids and points follow from.
    pub secret: IngestorSecret,
    /// What each processor's batches verify with, in order of their index.
    trusted: [TrustedKeys; 2],
    /// What the ingestor's batches verify with.
    trusted_ingestor: TrustedKeys,
    /// What opens packets, for all processors of all runs.
    pub pool: Arc<rayon::ThreadPool>,
}

/// The identifier of the packet key of an epoch for one of [`BINS`].
#[must_use]
pub fn packet_key_id(role: Role, bins: usize, epoch: usize) -> String {
    format!("{role}-packet-{bins}-{epoch}")
}

/// The identifier of a processor's signing key.
#[must_use]
pub fn signing_key_id(role: Role, epoch: usize) -> String {
    format!("{role}-signing-{epoch}")
}

/// The identifier of an ingestor's signing key.
#[must_use]
pub fn ingestor_key_id(epoch: usize) -> String {
    format!("ingestor-{epoch}")
}

impl Keyring {
    /// The keys.
    pub fn get() -> &'static Self {
        static KEYRING: LazyLock<Keyring> = LazyLock::new(Keyring::make);
        &KEYRING
    }

    fn make() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let processors = Role::ALL.map(|_| ProcessorKeys {
            packet: (0..EPOCHS)
                .map(|_| BINS.map(|_| PacketPrivateKey::generate(&mut rng)))
                .collect(),
            signing: (0..EPOCHS).map(|_| SigningKey::generate(&mut rng)).collect(),
            sealing: (0..EPOCHS).map(|_| SealingKey::generate(&mut rng)).collect(),
        });
        let ingestor: Vec<_> = (0..EPOCHS).map(|_| SigningKey::generate(&mut rng)).collect();
        let trusted_of = |role: Role| {
            let keys = &processors[role.index()].signing;
            trusted(keys, |epoch| signing_key_id(role, epoch))
        };
        let threads = rayon::ThreadPoolBuilder::new().num_threads(2);
        Self {
            trusted: Role::ALL.map(trusted_of),
            trusted_ingestor: trusted(&ingestor, ingestor_key_id),
            processors,
            ingestor,
            secret: IngestorSecret::generate(&mut rng),
            pool: Arc::new(threads.build().expect("threads to open packets")),
        }
    }

    /// What clients seal the shares of a metric to. `metric` is the place of its number of bins in [`BINS`].
    #[must_use]
    pub fn clients(&self, metric: usize, epoch: usize) -> Vec<ProcessorKey> {
        let key = |role: Role| ProcessorKey {
            key_id: Some(packet_key_id(role, BINS[metric], epoch)),
            public: *self.processors[role.index()].packet[epoch][metric].public(),
        };
        Role::ALL.map(key).to_vec()
    }

    /// What a processor's batches verify with.
    #[must_use]
    pub fn trusted(&self, role: Role) -> TrustedKeys {
        self.trusted[role.index()].clone()
    }

    /// What the ingestor's batches verify with.
    #[must_use]
    pub fn trusted_ingestor(&self) -> TrustedKeys {
        self.trusted_ingestor.clone()
    }
}

/// The public halves of keys, by identifier. Each is a multiplication on the curve, so it is done once.
fn trusted(keys: &[SigningKey], id: impl Fn(usize) -> String) -> TrustedKeys {
    let keys = keys.iter().enumerate();
    keys.map(|(epoch, key)| (id(epoch), key.verifying_key())).collect()
}
