//! Tasks that workers rejected: their reasons, and whether their work has been done since.
//!
//! A queue can be read only by receiving its messages. The messages are released at once, but
//! another reader may temporarily not see all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tallybox_model::cause::chain;
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{QueueKind, Task, TaskName, WindowKind};
use tallybox_queue::{Delivery, SharedQueue};
use tallybox_transport::BucketError;

use crate::error::Error;
use crate::inventory::ManagerBuckets;
use crate::manager::{Manager, Observation};

/// Limit of messages that are read to count a queue.
pub(crate) const MAX_COUNTED_MESSAGES: usize = 1000;
/// How long to wait for the next message of a queue.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// A message in a queue of rejected tasks.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rejected {
    /// The queue of the task.
    pub queue: QueueKind,
    /// The batch or window, or the start of a message that does not parse.
    pub task: String,
    /// The reason of the rejection.
    pub reason: String,
    /// True if the message is a valid task, which can be started again.
    pub readable: bool,
    /// True if the work has been done since.
    pub done: bool,
    /// True if the task was started again.
    pub replayed: bool,
    /// True if the message was deleted.
    pub dropped: bool,
    #[serde(skip)]
    work: Option<TaskName>,
    #[serde(skip)]
    body: Bytes,
    #[serde(skip)]
    delivery: Option<Delivery>,
}

/// The operation to apply to a rejected message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectedAction {
    /// Keep it in the queue of rejected tasks.
    Keep,
    /// Publish it to its original queue.
    Replay,
    /// Delete it.
    Drop,
}

impl Rejected {
    fn from_delivery(queue: QueueKind, delivery: Delivery) -> Self {
        let body = delivery.body.clone();
        let work = Task::parse(queue, &body).ok().map(|task| task.name);
        let task = match &work {
            Some(TaskName::Intake(batch)) => batch.to_string(),
            Some(TaskName::Window(kind, window)) => format!("{} {window}", kind.as_str()),
            None => String::from_utf8_lossy(&body).chars().take(100).collect(),
        };
        Self {
            queue,
            task,
            reason: delivery
                .reason
                .clone()
                .unwrap_or_else(|| "unknown".to_owned()),
            readable: work.is_some(),
            done: false,
            replayed: false,
            dropped: false,
            work,
            body,
            delivery: Some(delivery),
        }
    }

    /// Returns whether the reason or the task contains the text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.reason.contains(text) || self.task.contains(text)
    }

    /// Returns the batch, if the task is an intake.
    #[must_use]
    pub fn batch(&self) -> Option<&BatchName> {
        match &self.work {
            Some(TaskName::Intake(batch)) => Some(batch),
            _ => None,
        }
    }

    /// Returns the window, if the task is a roster or a sum.
    #[must_use]
    pub fn window(&self) -> Option<&WindowName> {
        match &self.work {
            Some(TaskName::Window(_, window)) => Some(window),
            _ => None,
        }
    }

    /// Returns whether the processor's own bucket contains the result of the task.
    async fn is_done(
        &self,
        buckets: &ManagerBuckets,
        observation: Option<&Observation>,
    ) -> Result<bool, BucketError> {
        match &self.work {
            None => Ok(false),
            Some(TaskName::Intake(batch)) => {
                match observation.and_then(|observation| observation.prepared(batch)) {
                    Some(prepared) => Ok(prepared),
                    None => buckets.is_prepared(batch).await,
                }
            }
            Some(TaskName::Window(kind, window)) => {
                let is_sum = *kind == WindowKind::Aggregate;
                Ok((!is_sum && buckets.own_has(&window.agreed()).await?)
                    || buckets.own_has(&window.done()).await?)
            }
        }
    }
}

impl Observation {
    /// Returns whether the intake of a batch is done; `None` if the scan did not include the batch.
    fn prepared(&self, name: &BatchName) -> Option<bool> {
        let aggregation = self.inventory.aggregations.get(&name.aggregation)?;
        let batch = aggregation.batches.get(&(name.date, name.id))?;
        Some(batch.prepared)
    }
}

/// Receives up to `most` messages from a queue of rejected tasks, and checks for each whether its
/// work has been done since. The messages stay leased; pass them to [`resolve_rejected`].
///
/// # Errors
/// [`Error::Queue`]; [`Error::Bucket`], after which the messages return when their leases expire.
pub async fn rejected(
    queue: QueueKind,
    from: &SharedQueue,
    most: usize,
    (buckets, observation): (&ManagerBuckets, Option<&Observation>),
) -> Result<Vec<Rejected>, Error> {
    // If the queue knows its length, do not wait for a message beyond it.
    let ready = from
        .depth()
        .await?
        .ready
        .and_then(|ready| usize::try_from(ready).ok());
    let most = most.min(ready.unwrap_or(most));
    let mut found = Vec::new();
    while found.len() < most {
        match from.receive(RECEIVE_TIMEOUT).await? {
            Some(delivery) => found.push(Rejected::from_delivery(queue, delivery)),
            None => break,
        }
    }
    for message in &mut found {
        message.done = message.is_done(buckets, observation).await?;
    }
    Ok(found)
}

/// Applies the operation that `choose_action` chooses for each message: publish it to its original
/// queue, delete it, or release it unchanged. A message that does not parse is never published
/// again.
///
/// # Errors
/// [`Error::Queue`]; messages that were not processed return when their leases expire.
pub async fn resolve_rejected(
    messages: &mut [Rejected],
    from: &SharedQueue,
    to: &SharedQueue,
    choose_action: impl Fn(&Rejected) -> RejectedAction,
) -> Result<(), Error> {
    for message in messages {
        let Some(delivery) = message.delivery.take() else {
            continue;
        };
        match choose_action(message) {
            RejectedAction::Replay if message.readable => {
                // Published before it is acknowledged: a crash in between repeats the task, and
                // never loses it.
                to.publish(message.body.clone()).await?;
                message.replayed = true;
                from.ack(&delivery.lease).await?;
            }
            RejectedAction::Drop => {
                from.ack(&delivery.lease).await?;
                message.dropped = true;
            }
            RejectedAction::Replay | RejectedAction::Keep => {
                from.nack(&delivery.lease, Duration::ZERO).await?
            }
        }
    }
    Ok(())
}

/// The rejected tasks of each queue that can be read, or the reason why reading failed.
pub type RejectedTasks = BTreeMap<QueueKind, Result<Vec<Rejected>, String>>;

/// Returns the distinct tasks whose work has not been done since, each with its last message.
pub(crate) fn open_tasks(messages: &[Rejected]) -> BTreeMap<&str, &Rejected> {
    let open = messages.iter().filter(|message| !message.done);
    open.map(|message| (message.task.as_str(), message))
        .collect()
}

impl Manager {
    /// Reads the rejected tasks of both queues without changing them. A queue without a readable
    /// location of rejected tasks is left out.
    pub async fn rejected_tasks(&self, observation: &Observation) -> RejectedTasks {
        let mut found = RejectedTasks::new();
        for queue in QueueKind::ALL {
            if let Some(from) = self.starter.rejected(queue) {
                let messages = self.read_rejected(queue, from, observation).await;
                found.insert(queue, messages.map_err(|error| chain(&error)));
            }
        }
        found
    }

    async fn read_rejected(
        &self,
        queue: QueueKind,
        from: &SharedQueue,
        observation: &Observation,
    ) -> Result<Vec<Rejected>, Error> {
        let mut messages = rejected(
            queue,
            from,
            MAX_COUNTED_MESSAGES,
            (&self.buckets, Some(observation)),
        )
        .await?;
        resolve_rejected(&mut messages, from, from, |_| RejectedAction::Keep).await?;
        Ok(messages)
    }

    /// Updates the metrics of rejected tasks of both queues.
    pub(crate) async fn count_rejected(&self, observation: &Observation) {
        for (queue, messages) in self.rejected_tasks(observation).await {
            match messages {
                Ok(messages) => self.metrics.rejected(queue, open_tasks(&messages).len()),
                Err(problem) if self.scan_cache.log_once(&format!("rejected {problem}")) => {
                    let queue = queue.as_str();
                    tracing::warn!(queue, error = problem, "cannot count rejected tasks");
                }
                Err(_) => {}
            }
        }
    }
}
