//! Aggregate: adds the shares of the packets that both processors accept, and publishes the sum
//! part of a window.
//!
//! ```text
//! prepared batch --messages--> join <--messages-- peer's validation batch
//!        `--sum, shares of the few packets that do not count--> result of the batch
//! results of the window --> claims of its batches --> sum part, recorded in the own bucket
//!                                                         `--> portal's mailbox
//! ```
//!
//! No packet is opened here: the results of the intake are read from the prepared batch. Only a
//! lost prepared batch is computed again.

mod batch_result;
mod claims;
mod done;
mod group;
mod join;
mod judge;
mod rejections;
mod select;
mod sum_part;
mod summary;

pub use batch_result::BatchResult;
pub(crate) use batch_result::subtract;
pub(crate) use claims::{claimed, summed_before};
pub use done::{DoneMark, mark_done, mark_nothing};
pub use group::Group;
pub(crate) use group::Releasable;
pub use join::{Join, Joined};
pub use rejections::{PeerRejections, release};
pub(crate) use rejections::{alarm, check_share};
pub use select::{Selection, select};
pub use sum_part::FixedSumPart;
pub(crate) use sum_part::publish as publish_sum;
pub use summary::{AggregateSummary, AggregatedBatch, BatchOutcome};

use crate::error::Error;
use crate::intake::{ProgressCallback, find_prepared, intake, no_progress, prepare};
use crate::prepared::PreparedReader;
use crate::processor::Processor;
use crate::roster::rostered;
use group::choose;
use std::sync::Arc;
use std::time::Instant;
use tallybox_crypto::prio2::Prio2;
use tallybox_model::digest::Digest;
use tallybox_model::header::BatchParameters;
use tallybox_model::id::{AggregationId, PacketId};
use tallybox_model::path::{BatchName, SumPartName};
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::time::Window;
use tallybox_service::cause::chain;
use tallybox_service::exit::Exit;
use tallybox_transport::BucketError;
use tallybox_transport::batch::{BatchError, SignedBatch};
use tokio_util::sync::CancellationToken;

/// A request to sum a window.
#[derive(Clone, Debug)]
pub struct AggregateTask {
    /// The aggregation.
    pub aggregation: AggregationId,
    /// The window.
    pub window: Window,
    /// The batches to sum. If empty, all batches of the window that both processors have.
    pub batches: Vec<BatchName>,
    /// Only reports what would be summed. Nothing is written, except missing prepared batches in
    /// the own bucket.
    pub dry_run: bool,
}

/// Sums a window. The operation is idempotent.
///
/// Every request for a sum without rosters runs this function: the command line, a queue task, and
/// a Job.
///
/// # Errors
/// [`Error`] if there is nothing to sum, too few packets are accepted, the sum part exists with
/// other content, another window sums a batch, or something that is needed does not exist yet.
pub async fn aggregate(
    processor: &Arc<Processor>,
    task: &AggregateTask,
    progress: ProgressCallback,
) -> Result<AggregateSummary, Error> {
    let start = Instant::now();
    // If this processor summed a window of rosters without the peer's agreement, the two sum parts
    // might not fit together.
    if rostered(processor, task.window).await? {
        return Err(Error::TouchesRosters {
            window: task.window.to_string(),
            problem: "the window is one of these; sum it without naming its batches".to_owned(),
        });
    }
    let selection = select(processor, task).await?;
    let mut summary = AggregateSummary::new(processor.buckets.role, task, &selection);
    let groups = judge::judge(processor, task, &selection, (&mut summary, &progress)).await?;
    let group = choose(groups, &mut summary);
    summary.finish(group.as_ref(), start.elapsed());
    let window = window_name(task);
    alarm(&window, &summary);
    let Some(group) = group else {
        return Err(nothing(task, summary));
    };
    let Some(releasable) = group.releasable(processor.limits.minimum_contributions) else {
        let (window, accepted) = (task.window.to_string(), group.accepted());
        let minimum = processor.limits.minimum_contributions;
        return Err(Error::BelowMinimum {
            window,
            accepted,
            minimum,
            summary: Box::new(summary),
        });
    };
    check_share(processor, &window, &summary, task.dry_run).await?;
    let name = SumPartName {
        instance: processor.buckets.instance.clone(),
        aggregation: task.aggregation.clone(),
        window: task.window,
        writer: processor.buckets.role,
    };
    summary.sum_part = Some(name.objects().header);
    let batches = group.batches();
    // Checked in a dry run, too, so that a dry run reports a batch that another window sums.
    let claimed = claims::check(processor, &window, &batches).await?;
    if !task.dry_run {
        // Checked first, so that no batch is claimed for a sum part that already exists with other
        // batches.
        sum_part::check_fixed(processor, &name, &group).await?;
        claims::claim(processor, &window, &batches, &claimed).await?;
        summary.done_before = sum_part::publish(processor, &name, releasable).await?;
        mark_done(processor, &window, &DoneMark::from_sum_part(&name, &group)).await?;
    }
    summary.elapsed(start.elapsed());
    Ok(summary)
}

fn window_name(task: &AggregateTask) -> WindowName {
    WindowName {
        aggregation: task.aggregation.clone(),
        window: task.window,
    }
}

/// A batch with the verification messages of both processors joined.
pub(crate) struct JoinedBatch {
    name: BatchName,
    prepared: Arc<PreparedReader>,
    prio2: Prio2,
    joined: Joined,
    inputs: [Digest; 2],
}

impl JoinedBatch {
    fn parameters(&self) -> &BatchParameters {
        &self.prepared.footer().parameters
    }

    fn packets(&self) -> u64 {
        self.prepared.footer().packets
    }

    fn bytes(&self) -> u64 {
        self.prepared.footer().validation.packets.bytes
    }

    /// Returns the result of the batch, and the packets that count in it. `counted_before` returns
    /// whether a packet already counts in another batch.
    pub(crate) async fn judge(
        self,
        role: Role,
        counted_before: impl Fn(PacketId) -> bool,
    ) -> Result<(BatchResult, Vec<PacketId>), Error> {
        let Self {
            name,
            prepared,
            prio2,
            joined,
            inputs,
        } = self;
        batch_result::judge(
            &name,
            role,
            &prio2,
            &prepared,
            joined,
            inputs,
            counted_before,
        )
        .await
    }
}

/// Reads the peer's validation batch, and joins its messages with those of this processor. A batch
/// that does not verify is read a second time, because a single bad read is not evidence of a
/// forgery.
pub(crate) async fn join_peer(
    processor: &Arc<Processor>,
    name: &BatchName,
    prepared: PreparedReader,
    progress: &ProgressCallback,
) -> Result<JoinedBatch, Error> {
    let prepared = Arc::new(prepared);
    match join_once(processor, name, &prepared, progress).await {
        Err(error) if error.is_damage() => {
            tracing::warn!(
                error = chain(&error),
                "validation batch does not verify; reading it again"
            );
            join_once(processor, name, &prepared, progress).await
        }
        other => other,
    }
}

async fn join_once(
    processor: &Arc<Processor>,
    name: &BatchName,
    prepared: &Arc<PreparedReader>,
    progress: &ProgressCallback,
) -> Result<JoinedBatch, Error> {
    let peer = processor.buckets.role.peer();
    let bucket = &*processor.buckets.peer_validation_in;
    // The peer decides how many messages it sends; an honest peer sends at most one for each packet
    // of the batch.
    let most = prepared
        .footer()
        .packets
        .saturating_add(join::MOST_EXTRA_MESSAGES);
    let share = processor
        .resources
        .budget
        .take_memory(join::memory(most), progress)
        .await;
    let limits = processor.limits.files.for_messages(most);
    let too_many = |error: BatchError| match error {
        BatchError::Bucket(BucketError::TooLarge { key, .. }) => {
            Error::TooManyMessages { object: key, most }
        }
        other => other.into(),
    };
    let opened =
        SignedBatch::open(bucket, name.validation(peer), &processor.keys.peer, &limits).await;
    let validation = opened.map_err(too_many)?;
    let header = batch_result::check_header(name, &validation, prepared)?;
    let packets = validation.packets(bucket, header.packet_file_digest).await;
    let packets = packets.map_err(too_many)?;
    let bins = usize::try_from(prepared.footer().parameters.bins).unwrap_or(0);
    let prio2 = Prio2::new(bins).map_err(|source| Error::Bins {
        batch: name.clone(),
        source,
    })?;
    let runtime = tokio::runtime::Handle::current();
    let cancellation = CancellationToken::new();
    // Dropped with this future, which cancels the work on the blocking thread.
    let _cancel_on_drop = cancellation.clone().drop_guard();
    let ours = Arc::clone(prepared);
    let joining = tokio::task::spawn_blocking(move || {
        join::join(&ours, packets, most, &runtime, &cancellation)
    });
    let joined = joining
        .await
        .map_err(|error| Error::Internal(format!("batch {name}: aggregation failed: {error}")))??;
    drop(share);
    let inputs = [prepared.ingestion_header(), validation.header_digest()];
    Ok(JoinedBatch {
        name: name.clone(),
        prepared: Arc::clone(prepared),
        prio2,
        joined,
        inputs,
    })
}

/// Returns the prepared batch. A lost one is computed again, and its validation batch is published
/// unless this is a dry run.
pub(crate) async fn prepared(
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

fn nothing(task: &AggregateTask, summary: AggregateSummary) -> Error {
    let excluded = || {
        summary
            .batches
            .iter()
            .filter(|batch| batch.outcome != BatchOutcome::Summed)
    };
    // Faults that can be repaired take precedence over final ones, and those that need an operator
    // over the others.
    let order = [
        Exit::Retry,
        Exit::Conflict,
        Exit::BelowMinimum,
        Exit::Rejected,
    ];
    let exit = order
        .into_iter()
        .find(|exit| excluded().any(|batch| batch.exit == *exit))
        .unwrap_or(Exit::Retry);
    let describe = |batch: &AggregatedBatch| {
        let reason = batch.reason.as_deref().unwrap_or("excluded");
        format!("{}/{}: {reason}", batch.date, batch.batch)
    };
    let detail: Vec<String> = excluded().map(describe).collect();
    let detail = if detail.is_empty() {
        "the window contains no batch".to_owned()
    } else {
        detail.join(", ")
    };
    let reason = excluded()
        .find_map(|batch| batch.reason.clone())
        .unwrap_or_else(|| "no-batch".to_owned());
    let window = task.window.to_string();
    Error::NothingToSum {
        window,
        detail,
        exit,
        reason,
        summary: Box::new(summary),
    }
}
