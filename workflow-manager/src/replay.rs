//! Once more: a window, a batch, or what a queue has set aside.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{IntakeTask, WindowTask};
use tallybox_queue::{Delivery, SharedQueue};

use crate::due::{batch_again, window_again};
use crate::error::Error;
use crate::manager::Manager;
use crate::policy::Scope;
use crate::summary::RunSummary;
use crate::work::{Due, QueueKind};

/// How long a queue is asked for one more message.
const WAIT: Duration = Duration::from_secs(2);

impl Manager {
    /// What would be started for a window, whatever its markers say.
    ///
    /// # Errors
    /// [`Error::Nothing`] if nothing can be, and what can go wrong with a look.
    pub async fn window_again(&self, name: &WindowName) -> Result<Due, Error> {
        let times = (name.window.start(), name.window.end());
        let look = self.look(scope(times)).await?;
        window_again(&look.inventory, name, look.now).map_err(Error::Nothing)
    }

    /// What would be started for a batch, whatever its markers say.
    ///
    /// # Errors
    /// As [`Self::window_again`].
    pub async fn batch_again(&self, name: &BatchName) -> Result<Due, Error> {
        let end = name.date.plus_minutes(1).unwrap_or(name.date);
        let look = self.look(scope((name.date, end))).await?;
        batch_again(&look.inventory, name).map_err(Error::Nothing)
    }

    /// Starts it.
    pub async fn start_again(&self, due: Due) -> RunSummary {
        let mut summary = RunSummary::default();
        self.start(self.now(), vec![due], &mut summary).await;
        summary
    }
}

fn scope(times: (tallybox_model::time::BatchTime, tallybox_model::time::BatchTime)) -> Scope {
    Scope {
        windows: times,
        batches: times,
        passed: times.0,
    }
}

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
    /// Whether it was started again.
    pub replayed: bool,
    #[serde(skip)]
    body: Bytes,
    #[serde(skip)]
    delivery: Option<Delivery>,
}

impl Rejected {
    fn of(queue: QueueKind, delivery: Delivery) -> Self {
        let body = delivery.body.clone();
        let task = match queue {
            QueueKind::Intake => IntakeTask::parse(&body).map(|task| {
                let (aggregation, date, id) = (task.aggregation_id, task.date, task.batch_id);
                BatchName { aggregation, date, id }.to_string()
            }),
            QueueKind::Aggregate => WindowTask::parse(&body).map(|task| {
                let (kind, aggregation, window) = match task {
                    WindowTask::Aggregation(task) => ("aggregate", task.aggregation_id, task.window),
                    WindowTask::Roster(task) => ("roster", task.aggregation_id, task.window),
                };
                format!("{kind} {}", WindowName { aggregation, window })
            }),
        };
        let readable = task.is_ok();
        let shown = || String::from_utf8_lossy(&body).chars().take(100).collect();
        Self {
            queue,
            task: task.unwrap_or_else(|_| shown()),
            reason: delivery.reason.clone().unwrap_or_else(|| "not known".to_owned()),
            readable,
            replayed: false,
            body,
            delivery: Some(delivery),
        }
    }

    /// Whether the text stands in its reason or its task.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.reason.contains(text) || self.task.contains(text)
    }
}

/// Takes up to `most` messages off a queue of rejected ones. They stay ours for the queue's lease time, and are to be
/// given to [`settle`].
///
/// # Errors
/// [`Error::Queue`].
pub async fn rejected(queue: QueueKind, from: &SharedQueue, most: usize) -> Result<Vec<Rejected>, Error> {
    let mut found = Vec::new();
    while found.len() < most {
        match from.receive(WAIT).await? {
            Some(delivery) => found.push(Rejected::of(queue, delivery)),
            None => break,
        }
    }
    Ok(found)
}

/// Puts those that `again` chooses back on their queue, and gives the others back as they were. A message that cannot be
/// read is never chosen.
///
/// # Errors
/// [`Error::Queue`]; what was not dealt with comes back by itself when its lease runs out.
pub async fn settle(
    messages: &mut [Rejected],
    from: &SharedQueue,
    to: &SharedQueue,
    again: impl Fn(&Rejected) -> bool,
) -> Result<(), Error> {
    for message in messages {
        let Some(delivery) = message.delivery.take() else {
            continue;
        };
        if message.readable && again(message) {
            to.publish(message.body.clone()).await?;
            message.replayed = true;
            from.ack(&delivery.lease).await?;
        } else {
            from.nack(&delivery.lease, Duration::ZERO).await?;
        }
    }
    Ok(())
}
