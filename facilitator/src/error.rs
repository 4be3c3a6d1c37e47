//! The errors of a processor: which batch or window fails, whose fault it is, and which exit code
//! follows.

mod classify;

use crate::prepared::PreparedError;
use crate::reason::PeerRejections;
use crate::sealed::SealedError;
use tallybox_crypto::Prio2Error;
use tallybox_model::path::BatchName;
use tallybox_model::roster::TermsDiffer;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::exit::Exit;
use tallybox_service::key_file::FileError;
use tallybox_service::shell::CommandError;
use tallybox_service::{ConfigError, OutputError};
use tallybox_transport::BucketError;
use tallybox_transport::batch::BatchError;

/// An error that ends a task of a processor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Configuration fault: the file cannot be read or parsed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The summary of a command cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Configuration fault: a key file or another file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Configuration fault: settings are missing or contradict each other.
    #[error("{0}")]
    Setting(String),
    /// A bucket operation failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A batch cannot be read or written.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A prepared batch in the own bucket cannot be read or written.
    #[error(transparent)]
    Prepared(#[from] PreparedError),
    /// Ingestor's fault: the header asks for something that this processor does not support.
    #[error("batch {batch}: {problem}")]
    Header {
        /// The batch.
        batch: BatchName,
        /// The unsupported value or the mismatch.
        problem: String,
        /// The machine-readable reason.
        reason: &'static str,
    },
    /// Ingestor's fault: Prio2 does not support the header's number of bins.
    #[error("batch {batch}: the header's number of bins is not supported")]
    Bins {
        /// The batch.
        batch: BatchName,
        /// The cause.
        #[source]
        source: Prio2Error,
    },
    /// Ingestor's fault: the batch contains no packets.
    #[error("batch {batch}: the packet file contains no packets")]
    EmptyBatch {
        /// The batch.
        batch: BatchName,
    },
    /// No packet of the batch counts.
    #[error("batch {batch}: none of its packets is accepted by both processors")]
    NoAcceptedPacket {
        /// The batch.
        batch: BatchName,
    },
    /// Peer's fault: the validation batch has more messages than the ingestion batch has packets.
    #[error(
        "{object}: more than {most} messages, but the batch has fewer packets; contact the peer"
    )]
    TooManyMessages {
        /// The packet file of the validation batch.
        object: String,
        /// The most messages that are accepted.
        most: u64,
    },
    /// The batch was copied to another date.
    #[error("batch {batch}: first seen with date {first}; this batch is a copy")]
    Copied {
        /// The batch.
        batch: BatchName,
        /// The date at which it was first seen.
        first: String,
    },
    /// No key of this processor opens any packet, and no packet names one of its keys. Possibly a
    /// new key has not been deployed here yet.
    #[error(
        "batch {batch}: none of our keys opens any of its packets, and no packet names one of \
         them; check that packet-decryption-keys contains the keys that the ingestor announces"
    )]
    NoKey {
        /// The batch.
        batch: BatchName,
    },
    /// Most likely a fault of this processor: a wrong key, role or point makes every packet fail.
    /// Possibly the ingestor's.
    #[error(
        "batch {batch}: {failed} of {packets} packets fail as with a wrong packet key, role or \
         point ({reasons}): no result was recorded or published; compare the keys' fingerprints \
         (`check-config`) with those that the ingestor announces; if the batch is at fault, \
         process it with `facilitator intake-batch --accept-rejections`"
    )]
    WrongKey {
        /// The batch.
        batch: BatchName,
        /// The number of packets that fail for such a reason.
        failed: u64,
        /// The number of packets in the batch.
        packets: u64,
        /// The reasons, with their counts.
        reasons: String,
    },
    /// Two runs pinned a point at the same time. The next run uses the stored one.
    #[error(
        "packet key {key}: another run recorded the evaluation point at the same time; run again"
    )]
    PointRace {
        /// The packet key's fingerprint.
        key: String,
    },
    /// Own bucket: the pin of a packet key was removed, although a prepared batch was made with the
    /// key. The pin has been restored from that batch; the run that found it missing computes
    /// nothing.
    #[error(
        "{pin}: the pin of packet key {key} is missing from the own bucket, although {witness} \
         was made with the key; the pin was restored from that batch, and nothing was computed; \
         find out who removes objects from the own bucket, then run again"
    )]
    PinMissing {
        /// The packet key's fingerprint.
        key: String,
        /// The missing object.
        pin: String,
        /// The prepared batch that names the key.
        witness: String,
    },
    /// Configuration fault: a packet key was used differently before, so that its packets could be
    /// evaluated a second time.
    #[error(
        "packet key {key}: {object} records {recorded}; its packets could be evaluated a second time, \
         so nothing was computed; undo the change, or make a new packet key and remove this one"
    )]
    KeyMisused {
        /// The packet key's fingerprint.
        key: String,
        /// The object that records the earlier use: the pin, or a prepared batch.
        object: String,
        /// The recorded use, which contradicts the configuration.
        recorded: &'static str,
    },
    /// Own bucket: the pin of a packet key was replaced, or a prepared batch was made at another
    /// point.
    #[error(
        "{witness}: made at another evaluation point than {pin} records for packet key {key}; \
         find out who writes into the own bucket, then replace this packet key by a new one"
    )]
    PinContradicted {
        /// The packet key's fingerprint.
        key: String,
        /// The pin.
        pin: String,
        /// The prepared batch.
        witness: String,
    },
    /// The object was recorded by another encoder generation and is not published yet; this program
    /// cannot reproduce its bytes.
    #[error(
        "{object}: recorded by encoder generation {theirs}, but this program is generation {ours} \
         and encodes other bytes; nothing was published; finish publishing with a program of \
         generation {theirs}"
    )]
    Generation {
        /// The object to be published.
        object: String,
        /// This program's generation.
        ours: u32,
        /// The generation that recorded the object.
        theirs: u32,
    },
    /// A sum part of this window was recorded before with other content.
    #[error("{object}: recorded before with other content: then {then}; now {now}")]
    OtherSumPart {
        /// The sum part.
        object: String,
        /// The content of the recorded sum part.
        then: String,
        /// The content that this run would write.
        now: String,
    },
    /// The batch was summed in another window.
    #[error(
        "batch {batch}: already summed in window {then}; it cannot be summed again in window \
         {now}; select the other batches of this window with --batch"
    )]
    SummedBefore {
        /// The batch.
        batch: BatchName,
        /// The window that contains the batch.
        then: Window,
        /// The window that the task names.
        now: Window,
    },
    /// Caller's fault: part of the window is summed as both processors' rosters agree.
    #[error(
        "window {window}: batches of this time are summed only in windows that rosters agree on: \
         {problem}"
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
        /// The status of each batch.
        detail: String,
        /// The exit code.
        exit: Exit,
        /// The reason of the first excluded batch.
        reason: String,
    },
    /// The window has too few accepted packets.
    #[error(
        "window {window}: {accepted} accepted packets are below the minimum of {minimum}: no sum \
         part is released"
    )]
    BelowMinimum {
        /// The window.
        window: String,
        /// The number of accepted packets.
        accepted: u64,
        /// The configured minimum.
        minimum: u64,
    },
    /// Possibly the peer's fault: too many packets do not count, so an operator has to release the
    /// sum part.
    #[error(
        "window {window}: {} of {} packets for which we have a message do not count; this \
         fraction of {:.3} is above the maximum of {maximum}, so the sum part is held; compare \
         with the peer's summaries; `facilitator aggregate --accept-rejections` releases it",
        .rejections.rejected, .rejections.messages, .rejections.share()
    )]
    Held {
        /// The window.
        window: String,
        /// The numbers of packets that do not count, and of messages.
        rejections: PeerRejections,
        /// The configured maximum fraction.
        maximum: f64,
    },
    /// Sender's fault: the task is contradictory or names something impossible.
    #[error("{0}")]
    BadTask(String),
    /// A sealed file of a window in the own bucket cannot be read or written.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// Writer's fault: a roster is well signed and its content is invalid.
    #[error("{object}: {problem}")]
    Roster {
        /// The roster.
        object: String,
        /// The problem.
        problem: &'static str,
    },
    /// Configuration fault, of this processor or of the workflow manager: rosters are not enabled.
    #[error(
        "rosters are not enabled: the configuration has no section `rosters`, or the origin is \
         neither set there nor recorded in the own bucket yet"
    )]
    NoRosters,
    /// Workflow manager's fault: there is no roster for this window.
    #[error("window {window}: {problem}")]
    NoSuchWindow {
        /// The window.
        window: String,
        /// The cause.
        problem: String,
    },
    /// The roster is not due yet.
    #[error("window {window}: the roster is due at {due}; it is {now} by {clock}")]
    TooEarly {
        /// The window.
        window: String,
        /// The minute from which the roster may be written.
        due: BatchTime,
        /// The present minute.
        now: BatchTime,
        /// The clock that was read.
        clock: &'static str,
    },
    /// Fault of this machine or of the bucket: the clocks differ too much to decide whether a
    /// window is over.
    #[error(
        "the clocks of this machine and of {bucket} differ by {seconds} seconds, so no roster is \
         written; correct the clock"
    )]
    Clocks {
        /// The own bucket.
        bucket: String,
        /// The difference.
        seconds: i64,
    },
    /// The configurations of the two processors differ in a value that has to be equal.
    #[error("window {window}: no agreement")]
    Terms {
        /// The window.
        window: String,
        /// The difference.
        #[source]
        source: TermsDiffer,
    },
    /// The peer's roster is missing, so that there is no agreement yet.
    #[error("window {window}: not agreed yet: {problem}")]
    NotAgreed {
        /// The window.
        window: String,
        /// The missing object.
        problem: String,
    },
    /// A bug in this program.
    #[error("internal error: {0}")]
    Internal(String),
}

impl CommandError for Error {
    fn exit(&self) -> Exit {
        self.exit()
    }

    fn reason(&self) -> String {
        self.reason()
    }
}
