//! The keys of all parties. They are the same in every run; the seed determines the events, not the
//! parties.

use std::sync::{Arc, LazyLock};

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use tallybox_client::ProcessorKey;
use tallybox_crypto::{IngestorSecret, PacketPrivateKey, SealingKey, SigningKey};
use tallybox_model::role::Role;
use tallybox_transport::batch::TrustedKeys;

/// The number of keys of each kind: the first one, and its successor after a key rotation.
pub const EPOCHS: usize = 2;

/// The numbers of bins of the metrics, in the order of [`METRICS`](crate::pool::METRICS). Each
/// number of bins has packet keys of its own.
pub const BINS: [usize; 2] = [6, 5];

/// The only locality of a run.
pub const LOCALITY: &str = "us-xx";
/// The name of the only ingestor of a run.
pub const INGESTOR: &str = "ingestor";
/// The instance: locality and ingestor.
pub const INSTANCE: &str = "us-xx-ingestor";

/// The keys of a processor, by epoch.
#[derive(Debug)]
pub struct ProcessorKeys {
    /// The packet keys, to which clients seal shares: for each epoch, one key per entry of
    /// [`BINS`].
    pub packet: Vec<[PacketPrivateKey; 2]>,
    /// The keys that sign batches and rosters.
    pub signing: Vec<SigningKey>,
    /// The keys that seal and authenticate the objects of the own bucket.
    pub sealing: Vec<SealingKey>,
}

/// The keys of all parties.
#[derive(Debug)]
pub struct Keyring {
    /// The keys of the processors, by index.
    pub processors: [ProcessorKeys; 2],
    /// The signing keys of the ingestor, by epoch.
    pub ingestor: Vec<SigningKey>,
    /// The ingestor's secret, from which it derives batch ids and evaluation points.
    pub secret: IngestorSecret,
    /// The public keys that verify each processor's batches, by index.
    trusted: [TrustedKeys; 2],
    /// The public keys that verify the ingestor's batches.
    trusted_ingestor: TrustedKeys,
    /// The threads that decrypt packets, for all processors of all runs.
    pub pool: Arc<rayon::ThreadPool>,
}

/// Returns the identifier of the packet key of an epoch for a number of bins.
#[must_use]
pub fn packet_key_id(role: Role, bins: usize, epoch: usize) -> String {
    format!("{role}-packet-{bins}-{epoch}")
}

/// Returns the identifier of a processor's signing key.
#[must_use]
pub fn signing_key_id(role: Role, epoch: usize) -> String {
    format!("{role}-signing-{epoch}")
}

/// Returns the identifier of the ingestor's signing key.
#[must_use]
pub fn ingestor_key_id(epoch: usize) -> String {
    format!("ingestor-{epoch}")
}

impl Keyring {
    /// Returns the keys, which are generated on first use.
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
            signing: (0..EPOCHS)
                .map(|_| SigningKey::generate(&mut rng))
                .collect(),
            sealing: (0..EPOCHS)
                .map(|_| SealingKey::generate(&mut rng))
                .collect(),
        });
        let ingestor: Vec<_> = (0..EPOCHS)
            .map(|_| SigningKey::generate(&mut rng))
            .collect();
        let trusted_keys = |role: Role| {
            let keys = &processors[role.index()].signing;
            trusted(keys, |epoch| signing_key_id(role, epoch))
        };
        let threads = rayon::ThreadPoolBuilder::new().num_threads(2);
        Self {
            trusted: Role::ALL.map(trusted_keys),
            trusted_ingestor: trusted(&ingestor, ingestor_key_id),
            processors,
            ingestor,
            secret: IngestorSecret::generate(&mut rng),
            pool: Arc::new(threads.build().expect("threads to open packets")),
        }
    }

    /// Returns the public packet keys to which clients seal the shares of a metric. `metric` is an
    /// index into [`BINS`].
    #[must_use]
    pub fn clients(&self, metric: usize, epoch: usize) -> Vec<ProcessorKey> {
        let key = |role: Role| ProcessorKey {
            key_id: Some(packet_key_id(role, BINS[metric], epoch)),
            public: *self.processors[role.index()].packet[epoch][metric].public(),
        };
        Role::ALL.map(key).to_vec()
    }

    /// Returns the public keys that verify a processor's batches.
    #[must_use]
    pub fn trusted(&self, role: Role) -> TrustedKeys {
        self.trusted[role.index()].clone()
    }

    /// Returns the public keys that verify the ingestor's batches.
    #[must_use]
    pub fn trusted_ingestor(&self) -> TrustedKeys {
        self.trusted_ingestor.clone()
    }
}

/// Returns the public keys of signing keys, by identifier. The keyring stores the result, because
/// each public key takes a curve multiplication.
fn trusted(keys: &[SigningKey], id: impl Fn(usize) -> String) -> TrustedKeys {
    let keys = keys.iter().enumerate();
    keys.map(|(epoch, key)| (id(epoch), key.verifying_key()))
        .collect()
}
