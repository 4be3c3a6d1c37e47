//! Ways to start work: as queue messages or as Kubernetes Jobs.

mod queues;
mod run;

pub use queues::QueueStarter;

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use tallybox_queue::{Depth, SharedQueue};

use crate::error::Error;
use tallybox_model::task::QueueKind;

/// One task, ready to be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartRequest {
    /// The task and the number of the attempt: the same start has the same key in every process.
    pub key: String,
    /// The message.
    pub message: Bytes,
}

/// The state of earlier starts, read before a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunningTasks {
    /// The keys of tasks that have been started, whatever their outcome. They are not started
    /// again.
    pub keys: BTreeSet<String>,
    /// The number of groups that may be started now; `None` means no limit.
    pub room: Option<usize>,
}

/// A way to start work.
#[async_trait]
pub trait Starter: Send + Sync + fmt::Debug {
    /// Reads which tasks are running, before a run starts more.
    async fn running(&self) -> Result<RunningTasks, Error>;

    /// Returns the largest number of tasks of this kind in one group.
    fn together(&self, queue: QueueKind) -> usize;

    /// Starts tasks, all or none of them. They are durable once this returns. After an error, they
    /// may have been started nevertheless.
    async fn start(&self, queue: QueueKind, tasks: &[StartRequest]) -> Result<(), Error>;

    /// Returns where work of this kind is sent, for people.
    fn location(&self, queue: QueueKind) -> String;

    /// Returns the numbers of messages in the queue of this kind, if there is one and it reports
    /// them.
    async fn depth(&self, _: QueueKind) -> Option<Depth> {
        None
    }

    /// Returns the queue of rejected tasks of this kind, if it can be read.
    fn rejected(&self, _: QueueKind) -> Option<&SharedQueue> {
        None
    }
}
