//! Intake: open each packet of an ingestion batch once, fix what was found, tell the peer.
//!
//! ```text
//! ingestion batch --blocks--> open and verify (all cores) --in order--> prepared batch (own bucket)
//!                                                              `------> digest of the validation packets
//! prepared batch --messages--> validation batch (peer's mailbox)
//! ```
//!
//! Nothing leaves the process before the digest of the ingestion packets is verified, and nothing goes to the peer
//! before the prepared batch, which says what goes, is in our own bucket.

mod block;
mod collector;
mod header;
mod pipeline;
mod points;
mod publish;
mod published;
mod summary;

pub use block::{BlockOpener, OpenedBlock, OpenedPacket, Verdict};
pub use points::PointBook;
pub use summary::IntakeSummary;
pub(crate) use summary::write_reasons;

use crate::error::Error;
use crate::prepared::{Owner, PreparedReader};
use crate::processor::Processor;
use header::Checked;
use pipeline::Pipeline;
use published::PublishedValidation;
use std::sync::Arc;
use std::time::Instant;
use tallybox_model::header::IngestionHeader;
use tallybox_model::path::BatchName;
use tallybox_transport::batch::SignedBatch;
use tallybox_transport::publish_bytes;

/// Told of packets and bytes as they are done: for progress bars.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// Nobody looks.
#[must_use]
pub fn no_progress() -> Progress {
    Arc::new(|_, _| {})
}

/// Takes one ingestion batch in. Done twice, it changes nothing the second time.
///
/// # Errors
/// [`Error`]: what is wrong with the batch, or what is not there yet.
pub async fn intake(processor: &Arc<Processor>, name: &BatchName, progress: Progress) -> Result<IntakeSummary, Error> {
    let start = Instant::now();
    let (prepared, fresh) = match find_prepared(processor, name).await? {
        Some(prepared) => (prepared, false),
        None => prepare(processor, name, progress).await?,
    };
    publish::publish(processor, name, &prepared, fresh).await?;
    Ok(IntakeSummary::new(
        processor.role,
        prepared.footer(),
        !fresh,
        start.elapsed(),
    ))
}

/// Our record of an earlier intake of this batch, if there is one.
///
/// # Errors
/// [`Error::Prepared`].
pub async fn find_prepared(processor: &Processor, name: &BatchName) -> Result<Option<PreparedReader>, Error> {
    let owner = Owner {
        instance: &processor.instance,
        role: processor.role,
    };
    Ok(PreparedReader::open(&processor.buckets.own, owner, &processor.sealing_keys, name).await?)
}

/// Reads the ingestion batch and makes the prepared batch. The answer says whether it is this run's own.
pub(crate) async fn prepare(
    processor: &Arc<Processor>,
    name: &BatchName,
    progress: Progress,
) -> Result<(PreparedReader, bool), Error> {
    let buckets = &processor.buckets;
    let batch = SignedBatch::open(
        &*buckets.ingestion,
        name.ingestion(),
        &processor.ingestor_keys,
        &processor.limits,
    )
    .await?;
    let header: IngestionHeader = batch.header()?;
    let checked = Checked::new(name, &header, batch.header_digest())?;
    let packets = batch.packets(&*buckets.ingestion, header.packet_file_digest).await?;
    let points = PointBook::load(processor).await?;
    let published = PublishedValidation::find(processor, name).await?;
    let upload = buckets
        .own
        .create(&name.prepared(&processor.sealing_keys[0].id()), None)
        .await?;
    let adopted = published.is_some();
    let pipeline = Pipeline {
        processor: Arc::clone(processor),
        name: name.clone(),
        checked,
        points,
        published,
        progress,
    };
    let runtime = tokio::runtime::Handle::current();
    let running = tokio::task::spawn_blocking(move || pipeline.run(packets, upload, &runtime));
    let done = running
        .await
        .map_err(|error| Error::Internal(format!("intake of {name}: {error}")))??;
    first_seen(processor, name).await?;
    done.points.fix(processor).await?;
    // What another program has published need not be what our encoders make.
    let fresh = done.commit().await? && !adopted;
    let prepared = find_prepared(processor, name).await?;
    let missing = || Error::Internal(format!("the prepared batch of {name} vanished"));
    Ok((prepared.ok_or_else(missing)?, fresh))
}

/// Binds the batch to its date: the first one seen stands, any other is a copy.
async fn first_seen(processor: &Processor, name: &BatchName) -> Result<(), Error> {
    use tallybox_transport::{BucketError, read_all};
    let (own, key) = (&*processor.buckets.own, name.first_seen());
    let date = name.date.to_string();
    match publish_bytes(own, &key, date.into(), false).await {
        Err(BucketError::Conflict { .. }) => {
            let first = read_all(own, &key, 64).await?;
            let first = String::from_utf8_lossy(&first).into_owned();
            Err(Error::Copied {
                batch: name.clone(),
                first,
            })
        }
        other => Ok(other.map(|_| ())?),
    }
}
