//! Intake: opens each packet of an ingestion batch once, records the results, and publishes the
//! verification messages for the peer.
//!
//! ```text
//! ingestion batch --blocks--> open (all cores) --in order--> prepared batch (own bucket)
//!                                                   `------> digest of the validation packets
//! prepared batch --messages--> validation batch (peer's mailbox)
//! ```
//!
//! Nothing leaves the process before the digest of the ingestion packets is verified. Nothing goes
//! to the peer before the prepared batch, which fixes what is published, is in the own bucket.

mod block;
mod collector;
mod header;
mod pins;
mod pipeline;
mod points;
mod prior_run;
mod publish;
mod published;
mod stored;
mod summary;

pub use block::{BlockOpener, OpenedBlock, OpenedPacket, PacketOutcome};
pub use points::BatchPoints;
pub use stored::find_prepared;
pub use summary::IntakeSummary;
pub(crate) use summary::write_reasons;

use crate::error::Error;
use crate::prepared::PreparedReader;
use crate::processor::Processor;
use crate::progress::{ProgressCallback, no_progress};
use header::Checked;
use pipeline::Pipeline;
use prior_run::PriorRun;
use published::PublishedValidation;
use std::sync::Arc;
use std::time::Instant;
use tallybox_model::cause::chain;
use tallybox_model::digest::Digest;
use tallybox_model::header::IngestionHeader;
use tallybox_model::path::BatchName;
use tallybox_transport::Published;
use tallybox_transport::batch::SignedBatch;
use tokio_util::sync::CancellationToken;

/// Processes one ingestion batch. The operation is idempotent.
///
/// # Errors
/// [`Error`] if the batch is invalid, or if something that it needs does not exist yet.
pub async fn intake(
    processor: &Arc<Processor>,
    name: &BatchName,
    progress: ProgressCallback,
) -> Result<IntakeSummary, Error> {
    let start = Instant::now();
    let (prepared, fresh) = prepare(processor, name, progress).await?;
    publish::publish(processor, name, &prepared, fresh).await?;
    Ok(IntakeSummary::new(
        processor.buckets.role,
        prepared.footer(),
        !fresh,
        start.elapsed(),
    ))
}

/// Returns the prepared batch of an earlier run, or reads the ingestion batch and writes one. The
/// second value is true if the prepared batch comes from this run and its validation batch was not
/// published before.
pub(crate) async fn prepare(
    processor: &Arc<Processor>,
    name: &BatchName,
    progress: ProgressCallback,
) -> Result<(PreparedReader, bool), Error> {
    let (batch, published) = match find_work(processor, name).await? {
        Work::Done(prepared) => return Ok((*prepared, false)),
        Work::Read(batch, published) => (*batch, published),
    };
    let is_new = published.is_none();
    let done = read(processor, name, batch, published, &progress).await?;
    done.points.fix(processor, &name.aggregation).await?;
    let (created, written) = done.commit().await?;
    let sealing = &processor.keys.sealing[0];
    let prepared = match written {
        Some(bytes) if created => {
            let object = name.prepared(&sealing.id());
            processor.resources.cache.store_prepared(&object, &bytes);
            stored::prepared_from_bytes(&processor.buckets, sealing, name, bytes).await?
        }
        _ => {
            let missing =
                || Error::Internal(format!("batch {name}: the prepared batch disappeared"));
            find_prepared(processor, name).await?.ok_or_else(missing)?
        }
    };
    // Another program may have published the batch with other encoders, so its bytes are checked.
    Ok((prepared, created && is_new))
}

/// What is left to do for a batch.
enum Work {
    /// Nothing: an earlier run has written the prepared batch.
    Done(Box<PreparedReader>),
    /// To read the ingestion batch. A validation batch that an earlier run has published restricts
    /// the packets.
    Read(Box<OpenedBatch>, Option<PublishedValidation>),
}

/// Opens the ingestion batch, and finds what earlier runs have left of it.
async fn find_work(processor: &Processor, name: &BatchName) -> Result<Work, Error> {
    let unrecorded =
        prior_run::may_be_unrecorded(&processor.buckets, &processor.resources, name).await?;
    let mut prior = PriorRun::None;
    if unrecorded {
        prior = PriorRun::find(processor, name).await?;
    }
    if let PriorRun::Prepared(prepared) = prior {
        return Ok(Work::Done(prepared));
    }
    let batch = match OpenedBatch::open(processor, name).await {
        Ok(batch) => batch,
        // A prepared batch does not need the ingestion batch, which the mailbox may have deleted.
        Err(error) if !unrecorded => {
            let prepared = find_prepared(processor, name).await?;
            return Ok(Work::Done(Box::new(prepared.ok_or(error)?)));
        }
        Err(error) => return Err(error),
    };
    // Only now, because a name without a valid signature must not bind the batch to its date.
    let date = prior_run::fix_date(&processor.buckets, name).await?;
    if !unrecorded && date == Published::Same {
        // An earlier run of this processor has recorded the date, and may have got further.
        prior = PriorRun::find(processor, name).await?;
    }
    Ok(match prior {
        PriorRun::None => Work::Read(Box::new(batch), None),
        PriorRun::Prepared(prepared) => Work::Done(prepared),
        PriorRun::Published(published) => Work::Read(Box::new(batch), Some(published)),
    })
}

/// An ingestion batch whose header is verified and supported. Its packets are not read yet.
struct OpenedBatch {
    signed: SignedBatch,
    checked: Checked,
    packets: Digest,
}

impl OpenedBatch {
    async fn open(processor: &Processor, name: &BatchName) -> Result<Self, Error> {
        let signed = SignedBatch::open(
            &*processor.buckets.ingestion,
            name.ingestion(),
            &processor.keys.ingestor,
            &processor.limits.files,
        )
        .await?;
        let header: IngestionHeader = signed.header()?;
        let checked = Checked::new(&processor.limits, name, &header, signed.header_digest())?;
        Ok(Self {
            signed,
            checked,
            packets: header.packet_file_digest,
        })
    }
}

/// Reads the packets of a batch and opens them, without writing any object. A batch that does not
/// verify is read a second time, because a single bad read is not evidence of a forgery.
async fn read(
    processor: &Arc<Processor>,
    name: &BatchName,
    batch: OpenedBatch,
    published: Option<PublishedValidation>,
    progress: &ProgressCallback,
) -> Result<pipeline::Prepared, Error> {
    match read_once(processor, name, batch, published.clone(), progress).await {
        Err(error) if error.is_damage() => {
            tracing::warn!(
                error = chain(&error),
                "ingestion batch does not verify; reading it again"
            );
            let batch = OpenedBatch::open(processor, name).await?;
            read_once(processor, name, batch, published, progress).await
        }
        other => other,
    }
}

async fn read_once(
    processor: &Arc<Processor>,
    name: &BatchName,
    batch: OpenedBatch,
    published: Option<PublishedValidation>,
    progress: &ProgressCallback,
) -> Result<pipeline::Prepared, Error> {
    let buckets = &processor.buckets;
    let packets = batch
        .signed
        .packets(&*buckets.ingestion, batch.packets)
        .await?;
    let memory = processor
        .resources
        .budget
        .acquire(packets.bytes(), progress)
        .await;
    let points = BatchPoints::load(processor, &batch.checked.prio2).await?;
    let upload = buckets
        .own
        .create(&name.prepared(&processor.keys.sealing[0].id()), None)
        .await?;
    let cancellation = CancellationToken::new();
    // Dropped with this future, which cancels the work on the blocking thread.
    let _cancel_on_drop = cancellation.clone().drop_guard();
    let pipeline = Pipeline {
        processor: Arc::clone(processor),
        name: name.clone(),
        checked: batch.checked,
        points,
        published,
        progress: Arc::clone(progress),
        cancellation,
    };
    let runtime = tokio::runtime::Handle::current();
    let running = tokio::task::spawn_blocking(move || pipeline.run(packets, upload, &runtime));
    let done = running
        .await
        .map_err(|error| Error::Internal(format!("batch {name}: intake failed: {error}")))??;
    drop(memory);
    Ok(done)
}

/// Returns the prepared batch. A lost one is computed again, and its validation batch is published
/// unless this is a dry run.
pub(crate) async fn find_or_prepare(
    processor: &Arc<Processor>,
    name: &BatchName,
    dry_run: bool,
) -> Result<PreparedReader, Error> {
    if let Some(prepared) = find_prepared(processor, name).await? {
        return Ok(prepared);
    }
    if dry_run {
        return prepare(processor, name, no_progress())
            .await
            .map(|(prepared, _)| prepared);
    }
    intake(processor, name, no_progress()).await?;
    let prepared_again = find_prepared(processor, name).await?;
    prepared_again
        .ok_or_else(|| Error::Internal(format!("batch {name}: the prepared batch disappeared")))
}
