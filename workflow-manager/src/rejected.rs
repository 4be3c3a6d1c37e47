//! Tasks that workers have set aside: what they are, why, and whether their work has been done since.
//!
//! A queue can only be read by taking its messages. They are given back at once, so whoever else reads at that moment may
//! not see all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use serde::Serialize;
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{IntakeTask, WindowTask};
use tallybox_queue::{Delivery, SharedQueue};
use tallybox_service::cause::chain;
use tallybox_transport::{BucketError, ListRange};

use crate::error::Error;
use crate::inventory::Buckets;
use crate::manager::{Look, Manager};
use crate::work::QueueKind;

/// How many messages of a queue are looked at to be counted.
pub(crate) const COUNTED: usize = 1000;
/// How long a queue is asked for one more message.
const WAIT: Duration = Duration::from_secs(1);

/// A message that a queue has set aside.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rejected {
    /// Which queue it was on.
    pub queue: QueueKind,
    /// The batch or window, or what could be read of the message.
    pub task: String,
    /// Why it was set aside.
    pub reason: String,
    /// Whether it is a task that can be started again.
    pub readable: bool,
    /// Whether its work has been done since.
    pub done: bool,
    /// Whether it was started again.
    pub replayed: bool,
    /// Whether it was removed for good.
    pub dropped: bool,
    #[serde(skip)]
    wanted: Option<Wanted>,
    #[serde(skip)]
    body: Bytes,
    #[serde(skip)]
    delivery: Option<Delivery>,
}

/// What a task would do.
#[derive(Clone, Debug)]
enum Wanted {
    Intake(BatchName),
    Roster(WindowName),
    Sum(WindowName),
}

/// What is done with a rejected message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays set aside.
    Kept,
    /// It is put back on its queue.
    Again,
    /// It is removed for good.
    Dropped,
}

impl Rejected {
    fn of(queue: QueueKind, delivery: Delivery) -> Self {
        let body = delivery.body.clone();
        let wanted = match queue {
            QueueKind::Intake => IntakeTask::parse(&body).map(|task| {
                let (aggregation, date, id) = (task.aggregation_id, task.date, task.batch_id);
                Wanted::Intake(BatchName { aggregation, date, id })
            }),
            QueueKind::Aggregate => WindowTask::parse(&body).map(|task| match task {
                WindowTask::Aggregation(task) => Wanted::Sum(WindowName {
                    aggregation: task.aggregation_id,
                    window: task.window,
                }),
                WindowTask::Roster(task) => Wanted::Roster(WindowName {
                    aggregation: task.aggregation_id,
                    window: task.window,
                }),
            }),
        };
        let wanted = wanted.ok();
        let shown = || String::from_utf8_lossy(&body).chars().take(100).collect();
        let task = match &wanted {
            Some(Wanted::Intake(batch)) => batch.to_string(),
            Some(Wanted::Roster(window)) => format!("roster {window}"),
            Some(Wanted::Sum(window)) => format!("aggregate {window}"),
            None => shown(),
        };
        Self {
            queue,
            task,
            reason: delivery.reason.clone().unwrap_or_else(|| "not known".to_owned()),
            readable: wanted.is_some(),
            done: false,
            replayed: false,
            dropped: false,
            wanted,
            body,
            delivery: Some(delivery),
        }
    }

    /// Whether the text stands in its reason or its task.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.reason.contains(text) || self.task.contains(text)
    }

    /// The batch whose intake it is.
    #[must_use]
    pub fn batch(&self) -> Option<&BatchName> {
        match &self.wanted {
            Some(Wanted::Intake(batch)) => Some(batch),
            _ => None,
        }
    }

    /// The window whose roster or sum it is.
    #[must_use]
    pub fn window(&self) -> Option<&WindowName> {
        match &self.wanted {
            Some(Wanted::Roster(window) | Wanted::Sum(window)) => Some(window),
            _ => None,
        }
    }

    /// Whether the own bucket holds what the task would have made.
    async fn is_done(&self, buckets: &Buckets, look: Option<&Look>) -> Result<bool, BucketError> {
        match &self.wanted {
            None => Ok(false),
            Some(Wanted::Intake(batch)) => match look.and_then(|look| look.prepared(batch)) {
                Some(prepared) => Ok(prepared),
                None => is_prepared(buckets, batch).await,
            },
            Some(Wanted::Roster(window)) if is_there(buckets, &window.agreed()).await? => Ok(true),
            Some(Wanted::Roster(window) | Wanted::Sum(window)) => is_there(buckets, &window.done()).await,
        }
    }
}

impl Look {
    /// Whether a batch is taken in; nothing if the batch was not looked at.
    fn prepared(&self, name: &BatchName) -> Option<bool> {
        let aggregation = self.inventory.aggregations.get(&name.aggregation)?;
        let batch = aggregation.batches.get(&(name.date, name.id))?;
        Some(batch.prepared)
    }
}

/// Whether there is a prepared batch, whatever key seals it.
async fn is_prepared(buckets: &Buckets, name: &BatchName) -> Result<bool, BucketError> {
    let directory = format!("{}/{}", name.aggregation, name.date);
    let range = ListRange {
        start_at: Some(format!("{name}.")),
        end_before: Some(format!("{name}/")),
    };
    let mut entries = buckets.own.list(&directory, range).await?;
    while let Some(entry) = entries.try_next().await? {
        if BatchName::from_prepared(&entry.key).as_ref() == Some(name) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn is_there(buckets: &Buckets, key: &str) -> Result<bool, BucketError> {
    match buckets.own.size(key).await {
        Ok(_) => Ok(true),
        Err(BucketError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes up to `most` messages off a queue of rejected ones, and says of each whether its work has been done since. They
/// stay ours for the queue's lease time, and are to be given to [`settle`].
///
/// # Errors
/// [`Error::Queue`]; [`Error::Bucket`], after which the messages come back when their leases run out.
pub async fn rejected(
    queue: QueueKind,
    from: &SharedQueue,
    most: usize,
    (buckets, look): (&Buckets, Option<&Look>),
) -> Result<Vec<Rejected>, Error> {
    // Where the queue counts, it is not asked for one more than it has.
    let ready = from.depth().await?.ready.and_then(|ready| usize::try_from(ready).ok());
    let most = most.min(ready.unwrap_or(most));
    let mut found = Vec::new();
    while found.len() < most {
        match from.receive(WAIT).await? {
            Some(delivery) => found.push(Rejected::of(queue, delivery)),
            None => break,
        }
    }
    for message in &mut found {
        message.done = message.is_done(buckets, look).await?;
    }
    Ok(found)
}

/// Deals with messages as `fate` says: puts them back on their queue, removes them, or gives them back as they were. A
/// message that cannot be read is never put back on its queue.
///
/// # Errors
/// [`Error::Queue`]; what was not dealt with comes back by itself when its lease runs out.
pub async fn settle(
    messages: &mut [Rejected],
    from: &SharedQueue,
    to: &SharedQueue,
    fate: impl Fn(&Rejected) -> Fate,
) -> Result<(), Error> {
    for message in messages {
        let Some(delivery) = message.delivery.take() else {
            continue;
        };
        match fate(message) {
            Fate::Again if message.readable => {
                to.publish(message.body.clone()).await?;
                message.replayed = true;
                from.ack(&delivery.lease).await?;
            }
            Fate::Dropped => {
                from.ack(&delivery.lease).await?;
                message.dropped = true;
            }
            Fate::Again | Fate::Kept => from.nack(&delivery.lease, Duration::ZERO).await?,
        }
    }
    Ok(())
}

/// What a queue has set aside, as it is shown.
#[derive(Debug)]
pub struct SetAside {
    /// The queue.
    pub queue: QueueKind,
    /// Its messages; or why they cannot be read.
    pub messages: Result<Vec<Rejected>, String>,
}

impl SetAside {
    /// How many different tasks are set aside whose work has not been done since.
    #[must_use]
    pub fn open(&self) -> usize {
        let messages = self.messages.iter().flatten().filter(|message| !message.done);
        messages.map(|message| &message.task).collect::<BTreeSet<_>>().len()
    }
}

impl Manager {
    /// Looks at what both queues have set aside, and leaves it there. Queues whose rejected messages we do not know where
    /// to read are left out.
    pub async fn set_aside(&self, look: &Look) -> Vec<SetAside> {
        let mut found = Vec::new();
        for queue in [QueueKind::Intake, QueueKind::Aggregate] {
            let Some(from) = self.starter.rejected(queue) else {
                continue;
            };
            let messages = self.read_rejected(queue, from, look).await;
            let messages = messages.map_err(|error| chain(&error));
            found.push(SetAside { queue, messages });
        }
        found
    }

    async fn read_rejected(&self, queue: QueueKind, from: &SharedQueue, look: &Look) -> Result<Vec<Rejected>, Error> {
        let mut messages = rejected(queue, from, COUNTED, (&self.buckets, Some(look))).await?;
        settle(&mut messages, from, from, |_| Fate::Kept).await?;
        Ok(messages)
    }

    /// Counts what both queues have set aside.
    pub(crate) async fn count_rejected(&self, look: &Look) {
        for set_aside in self.set_aside(look).await {
            match &set_aside.messages {
                Ok(_) => self.metrics.rejected(set_aside.queue, set_aside.open()),
                Err(problem) if self.known.is_news(&format!("rejected {problem}")) => {
                    let queue = set_aside.queue.word();
                    tracing::warn!(queue, error = problem, "rejected tasks cannot be counted");
                }
                Err(_) => {}
            }
        }
    }
}
