//! Starts work as messages on two queues, which workers read.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tallybox_model::task::QueueKind;
use tallybox_queue::{Depth, SharedQueue};

use super::{RunningTasks, StartRequest, Starter};
use crate::error::Error;

/// The queues of intake tasks and of window tasks.
#[derive(Clone, Debug)]
pub struct QueueStarter {
    /// Intake tasks.
    pub intake: SharedQueue,
    /// Roster and sum tasks.
    pub aggregate: SharedQueue,
    /// The queues of rejected tasks that can be read.
    pub rejected: BTreeMap<QueueKind, SharedQueue>,
}

impl QueueStarter {
    fn queue(&self, queue: QueueKind) -> &SharedQueue {
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

    async fn depth(&self, queue: QueueKind) -> Option<Depth> {
        // Permission to publish does not include reading the depth.
        self.queue(queue).depth().await.ok()
    }

    fn rejected(&self, queue: QueueKind) -> Option<&SharedQueue> {
        self.rejected.get(&queue)
    }
}
