//! Starts work as messages on two queues, which workers read.

use async_trait::async_trait;
use tallybox_queue::SharedQueue;

use super::{RunningTasks, StartRequest, Starter};
use crate::error::Error;
use tallybox_model::task::QueueKind;

/// The queues of intake tasks and of window tasks.
#[derive(Clone, Debug)]
pub struct QueueStarter {
    /// Intake tasks.
    pub intake: SharedQueue,
    /// Roster and sum tasks.
    pub aggregate: SharedQueue,
}

impl QueueStarter {
    /// Returns the queue of a kind of task.
    #[must_use]
    pub fn queue(&self, queue: QueueKind) -> &SharedQueue {
        match queue {
            QueueKind::Intake => &self.intake,
            QueueKind::Aggregate => &self.aggregate,
        }
    }
}

#[async_trait]
impl Starter for QueueStarter {
    async fn running(&self) -> Result<RunningTasks, Error> {
        Ok(RunningTasks::default())
    }

    fn together(&self, _: QueueKind) -> usize {
        1
    }

    async fn start(&self, queue: QueueKind, tasks: &[StartRequest]) -> Result<(), Error> {
        for task in tasks {
            self.queue(queue).publish(task.message.clone()).await?;
        }
        Ok(())
    }

    fn location(&self, queue: QueueKind) -> String {
        self.queue(queue).location()
    }
}

/// Two queues, and the readable locations of their rejected tasks.
#[derive(Clone, Debug)]
pub struct WithRejected {
    /// The queues.
    pub queues: QueueStarter,
    /// Rejected intake tasks.
    pub intake: Option<SharedQueue>,
    /// Rejected roster and sum tasks.
    pub aggregate: Option<SharedQueue>,
}

#[async_trait]
impl Starter for WithRejected {
    async fn running(&self) -> Result<RunningTasks, Error> {
        self.queues.running().await
    }

    fn together(&self, queue: QueueKind) -> usize {
        self.queues.together(queue)
    }

    async fn start(&self, queue: QueueKind, tasks: &[StartRequest]) -> Result<(), Error> {
        self.queues.start(queue, tasks).await
    }

    fn location(&self, queue: QueueKind) -> String {
        self.queues.location(queue)
    }

    fn rejected(&self, queue: QueueKind) -> Option<&SharedQueue> {
        match queue {
            QueueKind::Intake => self.intake.as_ref(),
            QueueKind::Aggregate => self.aggregate.as_ref(),
        }
    }
}
