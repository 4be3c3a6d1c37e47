//! Why a batch or a window cannot be done: whose fault it is, and what the program answers.

use crate::aggregate::{AggregateSummary, PeerRejections};
use crate::prepared::PreparedError;
use crate::roster::TermsDiffer;
use crate::sealed::SealedError;
use tallybox_crypto::{KeyError, Prio2Error};
use tallybox_model::path::BatchName;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::ConfigError;
use tallybox_service::exit::Exit;
use tallybox_transport::batch::BatchError;
use tallybox_transport::{BucketError, Disposition};

/// Why a task of a processor fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Our configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Our configuration: a key cannot be used.
    #[error("{file}: cannot use this {what}")]
    Key {
        /// The key's file.
        file: String,
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        #[source]
        source: KeyError,
    },
    /// Our configuration: a file cannot be read.
    #[error("{file}: cannot read")]
    File {
        /// The file.
        file: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Our configuration says two things at once, or too little.
    #[error("{0}")]
    Setting(String),
    /// A bucket fails.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A batch cannot be read or written.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A prepared batch of ours cannot be read or written.
    #[error(transparent)]
    Prepared(#[from] PreparedError),
    /// The ingestor's fault: the header asks for what this processor cannot do.
    #[error("batch {batch}: {problem}")]
    Header {
        /// The batch.
        batch: BatchName,
        /// What it asks for.
        problem: String,
        /// A short name of the problem.
        reason: &'static str,
    },
    /// The ingestor's fault: a dimension that Prio2 does not have.
    #[error("batch {batch}: the header's bins cannot be used")]
    Bins {
        /// The batch.
        batch: BatchName,
        /// Why not.
        #[source]
        source: Prio2Error,
    },
    /// The ingestor's fault: a batch of no packets.
    #[error("batch {batch}: there is no packet in it")]
    EmptyBatch {
        /// The batch.
        batch: BatchName,
    },
    /// Nothing of the batch can be counted.
    #[error("batch {batch}: no packet of it is accepted by both processors")]
    NoAcceptedPacket {
        /// The batch.
        batch: BatchName,
    },
    /// The peer's fault: a validation with more messages than the batch has packets.
    #[error("{object}: it has more than {most} messages, and the batch has fewer packets; ask the peer")]
    TooManyMessages {
        /// The packets of the validation.
        object: String,
        /// The most messages that are taken.
        most: u64,
    },
    /// Somebody copied the batch to another date.
    #[error("batch {batch}: seen before at {first}; this is a copy")]
    Copied {
        /// The batch.
        batch: BatchName,
        /// The date at which it was first seen.
        first: String,
    },
    /// No key of ours opens any packet, and none names one of them: perhaps the key has not reached us yet.
    #[error("batch {batch}: none of our keys opens any of its packets, and no packet names one of them")]
    NoKey {
        /// The batch.
        batch: BatchName,
    },
    /// Our fault most likely: a key, the role or a point that does not fit makes every packet fail. Perhaps the ingestor's.
    #[error(
        "batch {batch}: {failed} of {packets} packets fail as with a wrong packet key, role or point ({reasons}): nothing was fixed or published. Compare the keys' fingerprints (`check-config`) with what the ingestor announces; if the batch is at fault, `facilitator intake-batch --accept-rejections` takes it in"
    )]
    WrongKey {
        /// The batch.
        batch: BatchName,
        /// Packets that fail for such a reason.
        failed: u64,
        /// Packets in the batch.
        packets: u64,
        /// The reasons, with their counts.
        reasons: String,
    },
    /// Two runs pinned a point at once; the next run uses the one that stands.
    #[error("the evaluation point of packet key {key} was fixed by another run at the same time: run again")]
    PointRace {
        /// The packet key's fingerprint.
        key: String,
    },
    /// The own bucket's: the pin of a packet key was removed, although a prepared batch was made with the key. It has
    /// been restored from there, and the run that missed it is void.
    #[error(
        "{pin}: the pin of packet key {key} is missing from the own bucket, although {witness} was made with the key; \
         the pin was restored from that batch, and nothing was computed; find out who removes objects of the own bucket, \
         then run again"
    )]
    PinMissing {
        /// The packet key's fingerprint.
        key: String,
        /// The missing object.
        pin: String,
        /// The prepared batch that names the key.
        witness: String,
    },
    /// Our configuration: a packet key was used otherwise before, so that its packets could be evaluated a second time.
    #[error(
        "packet key {key}: {object} says {says}; its packets could be evaluated a second time, so nothing was computed; \
         undo the change, or make a new packet key and remove this one"
    )]
    KeyMisused {
        /// The packet key's fingerprint.
        key: String,
        /// What says otherwise: the pin, or a prepared batch.
        object: String,
        /// What it says.
        says: &'static str,
    },
    /// The own bucket's: the pin of a packet key was replaced, or a prepared batch is of another point.
    #[error(
        "{witness}: made at another evaluation point than {pin} says of packet key {key}; find out who writes into the own \
         bucket, make a new packet key and remove this one"
    )]
    PinContradicted {
        /// The packet key's fingerprint.
        key: String,
        /// The pin.
        pin: String,
        /// The prepared batch.
        witness: String,
    },
    /// What was fixed by another encoder generation is not published yet, and we cannot make its bytes.
    #[error(
        "{object}: fixed by encoder generation {theirs}, but this program is generation {ours} and makes other bytes; nothing was published"
    )]
    Generation {
        /// What was to be published.
        object: String,
        /// This program's generation.
        ours: u32,
        /// The generation that fixed it.
        theirs: u32,
    },
    /// A sum part of this window stands fixed with other content.
    #[error("{object}: fixed before with other content: then {then}; now {now}")]
    OtherSumPart {
        /// The sum part.
        object: String,
        /// What the fixed one holds.
        then: String,
        /// What this run would write.
        now: String,
    },
    /// Another window sums the batch.
    #[error(
        "batch {batch}: summed before, in window {then}; it cannot be summed again in window {now}. Sum this window without it, with --batch"
    )]
    SummedBefore {
        /// The batch.
        batch: BatchName,
        /// The window that sums it.
        then: Window,
        /// The window that was to be summed now.
        now: Window,
    },
    /// The caller's fault: part of the window is summed as both sides' rosters agree.
    #[error(
        "window {window}: batches of this time are agreed on by rosters, and summed in their windows only: {problem}"
    )]
    TouchesRosters {
        /// The window.
        window: String,
        /// Why it cannot be summed.
        problem: String,
    },
    /// No batch of the window can be summed.
    #[error("window {window}: no batch to sum: {detail}")]
    NothingToSum {
        /// The window.
        window: String,
        /// What became of each batch.
        detail: String,
        /// What the program answers.
        exit: Exit,
        /// The reason of the first excluded batch.
        reason: String,
        /// Every batch that was looked at.
        summary: Box<AggregateSummary>,
    },
    /// Too few packets.
    #[error(
        "window {window}: {accepted} accepted packets are fewer than the minimum of {minimum}: no sum part is released"
    )]
    BelowMinimum {
        /// The window.
        window: String,
        /// Accepted packets.
        accepted: u64,
        /// The configured minimum.
        minimum: u64,
        /// Every batch that was looked at.
        summary: Box<AggregateSummary>,
    },
    /// Perhaps the peer's fault: so many packets do not count that the sum part waits for a person.
    #[error(
        "window {window}: {} of {} packets for which we have a message do not count, a share of {:.3} and above the maximum of {maximum}: the sum part is held. Compare with the peer's summaries; `facilitator aggregate --accept-rejections` releases it",
        .rejections.rejected, .rejections.messages, .rejections.share()
    )]
    Held {
        /// The window.
        window: String,
        /// How many packets do not count.
        rejections: PeerRejections,
        /// The configured share.
        maximum: f64,
        /// Every batch that was looked at.
        summary: Box<AggregateSummary>,
    },
    /// Whoever enqueued it is at fault: a task that asks for what cannot be.
    #[error("{0}")]
    BadTask(String),
    /// A sealed file of a window, in our own bucket, cannot be read or written.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// The writer's fault: a roster that says what no roster says.
    #[error("{object}: {problem}")]
    Roster {
        /// The roster.
        object: String,
        /// What it says.
        problem: &'static str,
    },
    /// Our configuration, or the workflow manager's: there are no rosters here.
    #[error(
        "no rosters are written: the configuration has no section `rosters`, or its origin is neither set there nor fixed in the own bucket yet"
    )]
    NoRosters,
    /// The workflow manager's fault: a window of which there is no roster.
    #[error("window {window}: {problem}")]
    NoSuchWindow {
        /// The window.
        window: String,
        /// Why there is none.
        problem: String,
    },
    /// A roster before its time.
    #[error("window {window}: its roster is due at {due}, and it is {now} by {clock}")]
    TooEarly {
        /// The window.
        window: String,
        /// The minute at which it is due.
        due: BatchTime,
        /// The present minute.
        now: BatchTime,
        /// By whose clock.
        clock: &'static str,
    },
    /// Ours, or the bucket's: clocks that differ too much to say whether a window is over.
    #[error("the clock of this machine and that of {bucket} differ by {seconds} seconds: no roster is written")]
    Clocks {
        /// The own bucket.
        bucket: String,
        /// By how much.
        seconds: i64,
    },
    /// The sides' configurations differ in what has to be the same.
    #[error("window {window}: no agreement")]
    Terms {
        /// The window.
        window: String,
        /// What differs.
        #[source]
        source: TermsDiffer,
    },
    /// The peer's roster is not there, so that nothing is agreed.
    #[error("window {window}: not agreed yet: {problem}")]
    NotAgreed {
        /// The window.
        window: String,
        /// What is missing.
        problem: String,
    },
    /// A bug of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// What the program answers.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Key { .. } | Self::File { .. } | Self::Setting(_) => Exit::Usage,
            Self::KeyMisused { .. } => Exit::Usage,
            Self::Bucket(error) => bucket_exit(error),
            Self::Batch(BatchError::Bucket(error)) => bucket_exit(error),
            Self::Batch(error) => disposition_exit(error.disposition()),
            Self::Prepared(PreparedError::Bucket(error)) => bucket_exit(error),
            Self::Prepared(_) | Self::NoKey { .. } | Self::WrongKey { .. } | Self::PointRace { .. } => Exit::Retry,
            Self::PinMissing { .. } => Exit::Retry,
            Self::PinContradicted { .. } => Exit::Conflict,
            Self::Header { .. } | Self::Bins { .. } | Self::EmptyBatch { .. } | Self::Copied { .. } => Exit::Rejected,
            Self::BadTask(_) | Self::TouchesRosters { .. } | Self::TooManyMessages { .. } => Exit::Rejected,
            Self::Generation { .. } | Self::OtherSumPart { .. } | Self::SummedBefore { .. } => Exit::Conflict,
            Self::NothingToSum { exit, .. } => *exit,
            Self::BelowMinimum { .. } | Self::NoAcceptedPacket { .. } => Exit::BelowMinimum,
            Self::Held { .. } => Exit::Held,
            Self::Sealed(SealedError::Bucket(error)) => bucket_exit(error),
            Self::Roster { .. } | Self::NoSuchWindow { .. } => Exit::Rejected,
            Self::NoRosters => Exit::Usage,
            Self::Sealed(_) | Self::TooEarly { .. } | Self::Clocks { .. } => Exit::Retry,
            Self::Terms { .. } | Self::NotAgreed { .. } => Exit::Retry,
            Self::Internal(_) => Exit::Retry,
        }
    }

    /// Whether what was read is not what its writer signed, as one bad read looks, too.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Batch(error) if error.is_damage())
    }

    /// Whether a bucket fails for now, so that nothing is known of the batch.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        let bucket = match self {
            Self::Bucket(error) | Self::Batch(BatchError::Bucket(error)) => error,
            Self::Prepared(PreparedError::Bucket(error)) => error,
            Self::Sealed(SealedError::Bucket(error)) => error,
            Self::PointRace { .. } | Self::PinMissing { .. } => return true,
            _ => return false,
        };
        bucket.disposition() == Disposition::Retry
    }

    /// Whether an object of the own bucket is none of ours: then nothing that rests on that bucket is done, whatever else the
    /// error concerns.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        matches!(self, Self::Bucket(BucketError::Unverified { .. }))
    }

    /// What an aggregation found that ends without a sum part.
    #[must_use]
    pub fn summary(&self) -> Option<&AggregateSummary> {
        match self {
            Self::NothingToSum { summary, .. } | Self::BelowMinimum { summary, .. } | Self::Held { summary, .. } => {
                Some(summary)
            }
            _ => None,
        }
    }

    /// A short name for summaries and counters.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Config(_) | Self::Key { .. } | Self::File { .. } | Self::Setting(_) => "config",
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
