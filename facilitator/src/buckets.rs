//! The buckets of a processor, and the identity that names its objects in them.

use crate::config::Config;
use crate::error::Error;
use tallybox_crypto::SealingKey;
use tallybox_model::id::Instance;
use tallybox_model::role::Role;
use tallybox_service::config::Loaded;
use tallybox_transport::{BucketPlace, RecordKey, Records, SharedBucket};

/// The buckets of a processor, and the identity that names its objects in them.
#[derive(Clone, Debug)]
pub struct Buckets {
    /// Locality and ingestor.
    pub instance: Instance,
    /// The processor's role, first or second.
    pub role: Role,
    /// Ingestion batches. The ingestor writes, this processor reads.
    pub ingestion: SharedBucket,
    /// The processor's own bucket; no other party has access.
    pub own: SharedBucket,
    /// Writes and verifies every object of the own bucket except sealed files.
    pub records: Records,
    /// Validation batches of the peer. The peer writes, this processor reads.
    pub peer_validation_in: SharedBucket,
    /// Validation batches of this processor. This processor writes, the peer reads.
    pub peer_validation_out: SharedBucket,
    /// Sum parts. This processor writes, the portal reads.
    pub sum_parts: SharedBucket,
}

impl Buckets {
    /// Opens the buckets that a configuration names. Records are written with the first of the
    /// sealing keys.
    ///
    /// # Errors
    /// [`Error::Setting`] if a bucket cannot be opened, or if there is no sealing key.
    pub(crate) fn open(config: &Loaded<Config>, sealing: &[SealingKey]) -> Result<Self, Error> {
        let open = |place: &BucketPlace| -> Result<SharedBucket, Error> {
            let opened = place.open(&config.directory);
            opened.map_err(|error| Error::Setting(error.to_string()))
        };
        let value = &config.value;
        let keys = sealing
            .iter()
            .map(|key| RecordKey::from_bytes(key.record_key()));
        let records = Records::of_processor(keys, &value.instance, value.role);
        let records = records.ok_or_else(|| {
            Error::Setting("prepared-sealing-key needs at least one key".to_owned())
        })?;
        Ok(Self {
            instance: value.instance.clone(),
            role: value.role,
            ingestion: open(&value.buckets.ingestion)?,
            own: open(&value.buckets.own)?,
            records,
            peer_validation_in: open(&value.buckets.peer_validation_in)?,
            peer_validation_out: open(&value.buckets.peer_validation_out)?,
            sum_parts: open(&value.buckets.sum_parts)?,
        })
    }

    /// Replaces every bucket by a wrapped one, for example one that fails on purpose.
    #[must_use]
    pub fn wrap(self, wrap: impl Fn(SharedBucket) -> SharedBucket) -> Self {
        Self {
            ingestion: wrap(self.ingestion),
            own: wrap(self.own),
            peer_validation_in: wrap(self.peer_validation_in),
            peer_validation_out: wrap(self.peer_validation_out),
            sum_parts: wrap(self.sum_parts),
            ..self
        }
    }
}
