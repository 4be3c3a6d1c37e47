//! The names of further objects in a processor's own bucket.

use super::BatchName;
use crate::id::Instance;

/// The directory of pinned evaluation points.
pub(super) const POINTS: &str = "points";
/// The directory of counts of failed proofs.
pub(super) const FAILED_PROOFS: &str = "failed-proofs";
/// The directory of the record of a bucket's first use.
pub(super) const BUCKET_CREATED: &str = "bucket-created";

/// Returns `points/{instance}/{fingerprint of the packet key}`, in the processor's own bucket. The
/// object contains the instance, the number of bins and the only evaluation point that packets may
/// have under this key.
#[must_use]
pub fn pinned_point(instance: &Instance, packet_key: &str) -> String {
    format!("{POINTS}/{instance}/{packet_key}")
}

/// Returns the directory, in the processor's own bucket, of an instance's counts of failed proofs.
#[must_use]
pub fn failed_proofs_directory(instance: &Instance) -> String {
    format!("{FAILED_PROOFS}/{instance}")
}

/// The number of failed proofs in a batch, under one packet key that decrypted packets of it. The
/// object's name contains all of this information, so a listing is enough to read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailedProofs {
    /// The pair of locality and ingestor.
    pub instance: Instance,
    /// The fingerprint of the packet key.
    pub key: String,
    /// The batch.
    pub batch: BatchName,
    /// The number of failed proofs.
    pub failed: u64,
}

impl FailedProofs {
    /// Returns `failed-proofs/{instance}/{fingerprint of the packet
    /// key}/{agg}/{DATE}/{id}.{count}`, in the processor's own bucket.
    #[must_use]
    pub fn object(&self) -> String {
        let directory = failed_proofs_directory(&self.instance);
        format!("{directory}/{}/{}.{}", self.key, self.batch, self.failed)
    }

    /// Parses a name written by [`object`](Self::object); returns `None` for any other name.
    #[must_use]
    pub fn parse(object: &str) -> Option<Self> {
        let rest = object.strip_prefix(FAILED_PROOFS)?.strip_prefix('/')?;
        let (instance, rest) = rest.split_once('/')?;
        let (key, rest) = rest.split_once('/')?;
        let (batch, failed) = rest.rsplit_once('.')?;
        let parsed = Self {
            instance: instance.parse().ok()?,
            key: key.to_owned(),
            batch: BatchName::parse(batch)?,
            failed: failed.parse().ok()?,
        };
        (parsed.object() == object).then_some(parsed)
    }
}

/// Returns `bucket-created/{instance}`, in the processor's own bucket: the record of when the
/// bucket was first used.
#[must_use]
pub fn bucket_created(instance: &Instance) -> String {
    format!("{BUCKET_CREATED}/{instance}")
}

/// The directory, in the processor's own bucket, of the objects with which schedulers elect a
/// leader.
pub const LEADER_DIRECTORY: &str = "leader";

/// Returns `leader/{epoch, 16 digits}`, in the processor's own bucket. The object names the leader
/// from this epoch on and the end of its lease.
#[must_use]
pub fn leader(epoch: u64) -> String {
    // A fixed width, so that the byte order of the keys is the order of the epochs.
    format!("{LEADER_DIRECTORY}/{epoch:016}")
}

/// Parses a name written by [`leader`]; returns `None` for any other name.
#[must_use]
pub fn leader_epoch(key: &str) -> Option<u64> {
    let digits = key.strip_prefix(LEADER_DIRECTORY)?.strip_prefix('/')?;
    digits.parse().ok().filter(|epoch| leader(*epoch) == key)
}
