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
use tallybox_model::header::IngestionHeader;
use tallybox_model::path::BatchName;
use tallybox_service::cause::chain;
use tallybox_transport::Published;
use tallybox_transport::batch::SignedBatch;
use tokio_util::sync::CancellationToken;

/// Largest packet file, in bytes, for which opening the packets a second time costs less than a
/// request for the prepared batch of an earlier run.
const WHOLE_READ_BYTES: u64 = 128 << 10;

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
    let found = match prior_run::prior_run(&processor.buckets, &processor.resources, name).await? {
        PriorRun::None => None,
        PriorRun::Possible => find_prepared(processor, name).await?,
    };
    let (prepared, fresh) = match found {
        Some(prepared) => (prepared, false),
        None => prepare(processor, name, progress).await?,
    };
    publish::publish(processor, name, &prepared, fresh).await?;
    Ok(IntakeSummary::new(
        processor.buckets.role,
        prepared.footer(),
        !fresh,
        start.elapsed(),
    ))
}

/// Reads the ingestion batch and writes the prepared batch. The second value is true if the
/// prepared batch comes from this run and its validation batch was not published before.
pub(crate) async fn prepare(
    processor: &Arc<Processor>,
    name: &BatchName,
    progress: ProgressCallback,
) -> Result<(PreparedReader, bool), Error> {
    let prior = prior_run::prior_run(&processor.buckets, &processor.resources, name).await?;
    let mut published = match prior {
        PriorRun::None => None,
        PriorRun::Possible => PublishedValidation::find(processor, name).await?,
    };
    let mut done = match read(processor, name, prior, published.clone(), &progress).await? {
        Reading::Read(done) => done,
        Reading::Found(prepared) => return Ok((*prepared, false)),
    };
    let date = prior_run::fix_date(&processor.buckets, name).await?;
    if prior == PriorRun::None && date == Published::Same {
        // An earlier run of this processor has recorded the date, and may have got further.
        if let Some(prepared) = find_prepared(processor, name).await? {
            return Ok((prepared, false));
        }
        published = PublishedValidation::find(processor, name).await?;
        if published.is_some() {
            done = match read(
                processor,
                name,
                PriorRun::Possible,
                published.clone(),
                &progress,
            )
            .await?
            {
                Reading::Read(done) => done,
                Reading::Found(prepared) => return Ok((*prepared, false)),
            };
        }
    }
    done.points.fix(processor, &name.aggregation).await?;
    let (created, written) = done.commit().await?;
    let object = name.prepared(&processor.keys.sealing[0].id());
    let prepared = match written {
        Some(bytes) if created => {
            processor.resources.cache.store_prepared(&object, &bytes);
            stored::prepared_from_bytes(&processor.buckets, &processor.keys.sealing[0], name, bytes)
                .await?
        }
        _ => {
            let missing =
                || Error::Internal(format!("batch {name}: the prepared batch disappeared"));
            find_prepared(processor, name).await?.ok_or_else(missing)?
        }
    };
    // Another program may have published the batch with other encoders, so its bytes are checked.
    Ok((prepared, created && published.is_none()))
}

/// The outcome of reading an ingestion batch.
enum Reading {
    /// The packets are opened; nothing is written yet.
    Read(pipeline::Prepared),
    /// An earlier run has written the prepared batch.
    Found(Box<PreparedReader>),
}

/// Reads the ingestion batch and opens its packets, without writing any object. A batch that does
/// not verify is read a second time, because a single bad read is not evidence of a forgery.
async fn read(
    processor: &Arc<Processor>,
    name: &BatchName,
    prior: PriorRun,
    published: Option<PublishedValidation>,
    progress: &ProgressCallback,
) -> Result<Reading, Error> {
    match read_once(processor, name, prior, published.clone(), progress).await {
        Err(error) if error.is_damage() => {
            tracing::warn!(
                error = chain(&error),
                "ingestion batch does not verify; reading it again"
            );
            read_once(processor, name, prior, published, progress).await
        }
        other => other,
    }
}

async fn read_once(
    processor: &Arc<Processor>,
    name: &BatchName,
    prior: PriorRun,
    published: Option<PublishedValidation>,
    progress: &ProgressCallback,
) -> Result<Reading, Error> {
    let buckets = &processor.buckets;
    let opened = async {
        let (bucket, keys) = (&*buckets.ingestion, &processor.keys.ingestor);
        let batch =
            SignedBatch::open(bucket, name.ingestion(), keys, &processor.limits.files).await?;
        let header: IngestionHeader = batch.header()?;
        let checked = Checked::new(&processor.limits, name, &header, batch.header_digest())?;
        let packets = batch.packets(bucket, header.packet_file_digest).await?;
        Ok::<_, Error>((checked, packets))
    };
    // An error is returned only after the search for a prepared batch, which does not need the
    // ingestion batch.
    let opened = opened.await;
    let cheap = opened
        .as_ref()
        .is_ok_and(|(_, packets)| packets.bytes() <= WHOLE_READ_BYTES);
    if prior == PriorRun::None
        && !cheap
        && let Some(prepared) = find_prepared(processor, name).await?
    {
        return Ok(Reading::Found(Box::new(prepared)));
    }
    let (checked, packets) = opened?;
    let share = processor
        .resources
        .budget
        .acquire(packets.bytes(), progress)
        .await;
    let points = BatchPoints::load(processor, &checked.prio2).await?;
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
        checked,
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
    drop(share);
    Ok(Reading::Read(done))
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
