//! Aggregate: add the shares of the packets that both processors found good, and publish the sum part of a window.
//!
//! ```text
//! prepared batch --messages--> join <--messages-- peer's validation batch
//!        `--sum, shares of the few that do not count--> verdict of the batch
//! verdicts of the window --> claims of its batches --> sum part --fixed in the own bucket--> portal's mailbox
//! ```
//!
//! No packet is opened here: what intake has found is read from the prepared batch. Only a lost one is made again.

mod claims;
mod done;
mod group;
mod join;
mod judge;
mod rejections;
mod select;
mod sum_part;
mod summary;
mod verdict;

pub(crate) use claims::{claimed, summed_before};
pub use done::{DoneMark, mark_done, mark_nothing};
pub use group::Group;
pub(crate) use group::Releasable;
pub use join::{Join, Joined};
pub use rejections::{PeerRejections, RejectionLimits, release};
pub(crate) use rejections::{alarm, check_share};
pub use select::{Selection, select};
pub use sum_part::FixedSumPart;
pub(crate) use sum_part::publish as publish_sum;
pub use summary::{AggregateSummary, BatchOutcome, BatchSummary};
pub use verdict::BatchVerdict;
pub(crate) use verdict::subtract;

use crate::error::Error;
use crate::given_up::GivingUp;
use crate::intake::{Progress, find_prepared, intake, no_progress, prepare};
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
use tallybox_service::fault;
use tallybox_transport::BucketError;
use tallybox_transport::batch::{BatchError, SignedBatch};

/// What to sum.
#[derive(Clone, Debug)]
pub struct AggregateTask {
    /// The aggregation.
    pub aggregation: AggregationId,
    /// The window.
    pub window: Window,
    /// Exactly these batches; if empty, all of the window that both processors have.
    pub batches: Vec<BatchName>,
    /// Only say what would be summed; nothing is written but missing prepared batches in our own bucket.
    pub dry_run: bool,
}

/// Sums a window. Done twice, it changes nothing the second time.
///
/// Every way to a sum without rosters passes here: the command line, a queue's task and a Job's.
///
/// # Errors
/// [`Error`]: nothing to sum, too few packets, a sum part of other content, a batch that another window sums, or what is
/// not there yet.
pub async fn aggregate(
    processor: &Arc<Processor>,
    task: &AggregateTask,
    progress: Progress,
) -> Result<AggregateSummary, Error> {
    let start = Instant::now();
    // Summed apart from the peer, a window of rosters would have two parts that cannot be added.
    if rostered(processor, task.window).await? {
        return Err(Error::TouchesRosters {
            window: task.window.to_string(),
            problem: "it is one of them, and no task or command names its batches".to_owned(),
        });
    }
    let selection = select(processor, task).await?;
    let mut summary = AggregateSummary::new(processor.role, task, &selection);
    let groups = judge::judge(processor, task, &selection, (&mut summary, &progress)).await?;
    let group = choose(groups, &mut summary);
    summary.finish(group.as_ref(), start.elapsed());
    let window = window_name(task);
    alarm(&window, &summary);
    let Some(group) = group else {
        return Err(nothing(task, summary));
    };
    let Some(releasable) = group.releasable(processor.minimum_contributions) else {
        let (window, accepted) = (task.window.to_string(), group.accepted());
        let minimum = processor.minimum_contributions;
        return Err(Error::BelowMinimum {
            window,
            accepted,
            minimum,
            summary: Box::new(summary),
        });
    };
    check_share(processor, &window, &summary, task.dry_run).await?;
    let name = SumPartName {
        instance: processor.instance.clone(),
        aggregation: task.aggregation.clone(),
        window: task.window,
        writer: processor.role,
    };
    summary.sum_part = Some(name.objects().header);
    let batches = group.batches();
    let claimed = claims::check(processor, &window, &batches).await?;
    if !task.dry_run {
        // A sum part that is fixed with other batches stays as it is: what this run would add is not claimed.
        sum_part::check_fixed(processor, &name, &group).await?;
        claims::claim(processor, &window, &batches, &claimed).await?;
        summary.done_before = sum_part::publish(processor, &name, releasable).await?;
        mark_done(processor, &window, &DoneMark::of_sum_part(&name, &group)).await?;
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

/// Both processors' messages about a batch, brought together.
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

    /// The verdict, and the packets that it counts; `counted_before` says of a packet whether it counts elsewhere.
    pub(crate) async fn judge(
        self,
        role: Role,
        counted_before: impl Fn(PacketId) -> bool,
    ) -> Result<(BatchVerdict, Vec<PacketId>), Error> {
        let Self {
            name,
            prepared,
            prio2,
            joined,
            inputs,
        } = self;
        verdict::judge(&name, role, &prio2, &prepared, joined, inputs, counted_before).await
    }
}

/// Reads the peer's validation of a batch, and joins its messages with ours. What does not verify is read once more: one
/// bad read is no forgery.
pub(crate) async fn join_peer(
    processor: &Arc<Processor>,
    name: &BatchName,
    prepared: PreparedReader,
    progress: &Progress,
) -> Result<JoinedBatch, Error> {
    let prepared = Arc::new(prepared);
    match join_once(processor, name, &prepared, progress).await {
        Err(error) if error.is_damage() && !fault::is_on("believed-bad-read") => {
            tracing::warn!(error = chain(&error), "a validation does not verify, read again");
            join_once(processor, name, &prepared, progress).await
        }
        other => other,
    }
}

async fn join_once(
    processor: &Arc<Processor>,
    name: &BatchName,
    prepared: &Arc<PreparedReader>,
    progress: &Progress,
) -> Result<JoinedBatch, Error> {
    let peer = processor.role.peer();
    let bucket = &*processor.buckets.peer_validation_in;
    // The peer decides how many messages it sends; an honest one has at most one for each packet of the batch.
    let most = match fault::is_on("validation-unbounded") {
        true => u64::MAX,
        false => prepared.footer().packets.saturating_add(join::MORE_MESSAGES),
    };
    let share = processor.budget.take_memory(join::memory(most), progress).await;
    let limits = processor.limits.for_messages(most);
    let too_many = |error: BatchError| match error {
        BatchError::Bucket(BucketError::TooLarge { key, .. }) => Error::TooManyMessages { object: key, most },
        other => other.into(),
    };
    let opened = SignedBatch::open(bucket, name.validation(peer), &processor.peer_keys, &limits).await;
    let validation = opened.map_err(too_many)?;
    let header = verdict::check_header(name, &validation, prepared)?;
    let packets = validation.packets(bucket, header.packet_file_digest).await;
    let packets = packets.map_err(too_many)?;
    let bins = usize::try_from(prepared.footer().parameters.bins).unwrap_or(0);
    let prio2 = Prio2::new(bins).map_err(|source| Error::Bins {
        batch: name.clone(),
        source,
    })?;
    let (runtime, giving_up) = (tokio::runtime::Handle::current(), GivingUp::default());
    let given_up = giving_up.flag();
    let ours = Arc::clone(prepared);
    let joining = tokio::task::spawn_blocking(move || join::join(&ours, packets, most, &runtime, &given_up));
    let joined = joining
        .await
        .map_err(|error| Error::Internal(format!("aggregation of {name}: {error}")))??;
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

/// Our record of the batch's intake; a lost one is made again, and what it fixes is published unless the run is dry.
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
    let again = find_prepared(processor, name).await?;
    again.ok_or_else(|| Error::Internal(format!("the prepared batch of {name} vanished")))
}

fn nothing(task: &AggregateTask, summary: AggregateSummary) -> Error {
    let excluded = || {
        summary
            .batches
            .iter()
            .filter(|batch| batch.outcome != BatchOutcome::Summed)
    };
    // What can be mended comes before what cannot, and what an operator has to look at before the rest.
    let order = [Exit::Retry, Exit::Conflict, Exit::BelowMinimum, Exit::Rejected];
    let exit = order
        .into_iter()
        .find(|exit| excluded().any(|batch| batch.exit == *exit))
        .unwrap_or(Exit::Retry);
    let describe = |batch: &BatchSummary| {
        let reason = batch.reason.as_deref().unwrap_or("excluded");
        format!("{}/{}: {reason}", batch.date, batch.batch)
    };
    let detail: Vec<String> = excluded().map(describe).collect();
    let detail = if detail.is_empty() {
        "there is none".to_owned()
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
