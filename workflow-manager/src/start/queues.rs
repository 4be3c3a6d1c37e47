//! Work as messages on two queues, which workers read.

use async_trait::async_trait;
use tallybox_queue::SharedQueue;

use super::{Running, Starter, Task};
use crate::error::Error;
use crate::work::QueueKind;

/// The queue of intakes, and that of everything about windows.
#[derive(Clone, Debug)]
pub struct Queues {
    /// Intakes.
    pub intake: SharedQueue,
    /// Rosters and sums.
    pub aggregate: SharedQueue,
}

impl Queues {
    /// The queue of a kind of task.
    #[must_use]
    pub fn of(&self, queue: QueueKind) -> &SharedQueue {
        match queue {
            QueueKind::Intake => &self.intake,
            QueueKind::Aggregate => &self.aggregate,
        }
    }
}

#[async_trait]
impl Starter for Queues {
    async fn running(&self) -> Result<Running, Error> {
        Ok(Running::default())
    }

    fn together(&self, _: QueueKind) -> usize {
        1
    }

    async fn start(&self, queue: QueueKind, tasks: &[Task]) -> Result<(), Error> {
        for task in tasks {
            self.of(queue).publish(task.message.clone()).await?;
        }
        Ok(())
    }

    fn place(&self, queue: QueueKind) -> String {
        self.of(queue).location()
    }
}

/// Two queues, and where what workers reject of them can be read.
#[derive(Clone, Debug)]
pub struct WithRejected {
    /// The queues.
    pub queues: Queues,
    /// Rejected intakes.
    pub intake: Option<SharedQueue>,
    /// Rejected rosters and sums.
    pub aggregate: Option<SharedQueue>,
}

#[async_trait]
impl Starter for WithRejected {
    async fn running(&self) -> Result<Running, Error> {
        self.queues.running().await
    }

    fn together(&self, queue: QueueKind) -> usize {
        self.queues.together(queue)
    }

    async fn start(&self, queue: QueueKind, tasks: &[Task]) -> Result<(), Error> {
        self.queues.start(queue, tasks).await
    }

    fn place(&self, queue: QueueKind) -> String {
        self.queues.place(queue)
    }

    fn rejected(&self, queue: QueueKind) -> Option<&SharedQueue> {
        match queue {
            QueueKind::Intake => self.intake.as_ref(),
            QueueKind::Aggregate => self.aggregate.as_ref(),
        }
    }
}
