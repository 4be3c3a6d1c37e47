//! What follows from an error: the exit code, the reason for machines, and whether a later read or
//! run may succeed.

use super::Error;
use crate::prepared::PreparedError;
use crate::sealed::SealedError;
use tallybox_service::exit::Exit;
use tallybox_transport::batch::BatchError;
use tallybox_transport::{BucketError, Disposition};

impl Error {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::File(_) | Self::Setting(_) => Exit::Usage,
            Self::KeyMisused { .. } => Exit::Usage,
            Self::Bucket(error) => bucket_exit(error),
            Self::Batch(BatchError::Bucket(error)) => bucket_exit(error),
            Self::Batch(error) => disposition_exit(error.disposition()),
            Self::Prepared(PreparedError(SealedError::Bucket(error))) => bucket_exit(error),
            // A later run can succeed: after a repair, with a new key, or with the stored point.
            Self::Prepared(_)
            | Self::NoKey { .. }
            | Self::WrongKey { .. }
            | Self::PointRace { .. } => Exit::Retry,
            Self::PinMissing { .. } => Exit::Retry,
            // A retry would read the same contradicting objects.
            Self::PinContradicted { .. } => Exit::Conflict,
            Self::Header { .. }
            | Self::Bins { .. }
            | Self::EmptyBatch { .. }
            | Self::Copied { .. } => Exit::Rejected,
            Self::BadTask(_) | Self::TouchesRosters { .. } | Self::TooManyMessages { .. } => {
                Exit::Rejected
            }
            Self::Generation { .. } | Self::OtherSumPart { .. } | Self::SummedBefore { .. } => {
                Exit::Conflict
            }
            Self::NothingToSum { exit, .. } => *exit,
            Self::BelowMinimum { .. } | Self::NoAcceptedPacket { .. } => Exit::BelowMinimum,
            Self::Held { .. } => Exit::Held,
            Self::Sealed(SealedError::Bucket(error)) => bucket_exit(error),
            Self::Roster { .. } | Self::NoSuchWindow { .. } => Exit::Rejected,
            Self::NoRosters => Exit::Usage,
            Self::Sealed(_) | Self::TooEarly { .. } | Self::Clocks { .. } => Exit::Retry,
            Self::Terms { .. } | Self::NotAgreed { .. } => Exit::Retry,
            Self::Internal(_) | Self::Output(_) => Exit::Retry,
        }
    }

    /// Returns whether the object differs from what its writer signed. One bad read has the same
    /// effect.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Batch(error) if error.is_damage())
    }

    /// Returns whether a bucket failed temporarily, so that the state of the batch is unknown.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        let bucket = match self {
            Self::Bucket(error) | Self::Batch(BatchError::Bucket(error)) => error,
            Self::Prepared(PreparedError(SealedError::Bucket(error))) => error,
            Self::Sealed(SealedError::Bucket(error)) => error,
            // The next run uses the pin that is stored by then.
            Self::PointRace { .. } | Self::PinMissing { .. } => return true,
            _ => return false,
        };
        bucket.disposition() == Disposition::Retry
    }

    /// Returns whether an object of the own bucket does not verify. Then every operation that
    /// depends on this bucket stops, whatever else the error concerns.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        matches!(self, Self::Bucket(BucketError::Unverified { .. }))
    }

    /// Returns the machine-readable reason for summaries and counters.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Config(_) | Self::File(_) | Self::Setting(_) => "config",
            Self::Bucket(BucketError::Conflict { .. }) => "conflict",
            Self::Bucket(BucketError::NotReproduced { .. }) => "not-reproduced",
            Self::Bucket(BucketError::Unverified { .. }) => "unverified",
            Self::Bucket(_) => "bucket",
            Self::Batch(BatchError::Bucket(BucketError::Conflict { .. })) => "conflict",
            Self::Batch(error) => error.reason(),
            Self::Prepared(_) => "prepared-batch",
            Self::Header { reason, .. } => reason,
            Self::Bins { .. } => "bins",
            Self::EmptyBatch { .. } => "empty-batch",
            Self::NoAcceptedPacket { .. } => "no-accepted-packet",
            Self::Copied { .. } => "copied",
            Self::TooManyMessages { .. } => "bad-validation",
            Self::NoKey { .. } => "no-key",
            Self::WrongKey { .. } => "wrong-key",
            Self::PointRace { .. } => "point-race",
            Self::PinMissing { .. } => "pin-missing",
            Self::PinContradicted { .. } => "pin-contradicted",
            Self::KeyMisused { .. } => "key-misused",
            Self::Generation { .. } => "other-generation",
            Self::OtherSumPart { .. } => "other-sum-part",
            Self::SummedBefore { .. } => "summed-before",
            Self::TouchesRosters { .. } => "touches-rosters",
            Self::NothingToSum { reason, .. } => reason,
            Self::BelowMinimum { .. } => "below-minimum",
            Self::Held { .. } => "held",
            Self::BadTask(_) => "bad-task",
            Self::Sealed(SealedError::Bucket(BucketError::Conflict { .. })) => "conflict",
            Self::Sealed(SealedError::Bucket(_)) => "bucket",
            Self::Sealed(_) => "sealed-file",
            Self::Roster { .. } => "bad-roster",
            Self::NoRosters => "config",
            Self::NoSuchWindow { .. } => "no-such-window",
            Self::TooEarly { .. } => "too-early",
            Self::Clocks { .. } => "clocks-differ",
            Self::Terms { .. } => "terms-differ",
            Self::NotAgreed { .. } => "not-agreed",
            Self::Internal(_) => "internal",
            Self::Output(_) => "stdout",
        }
        .to_owned()
    }
}

fn bucket_exit(error: &BucketError) -> Exit {
    match error {
        BucketError::Conflict { .. } | BucketError::NotReproduced { .. } => Exit::Conflict,
        other => disposition_exit(other.disposition()),
    }
}

fn disposition_exit(disposition: Disposition) -> Exit {
    match disposition {
        Disposition::Retry => Exit::Retry,
        Disposition::Reject => Exit::Rejected,
    }
}
