//! Starting work: as messages on queues, or as Kubernetes Jobs.

mod queues;

pub use queues::{Queues, WithRejected};

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use tallybox_queue::SharedQueue;

use crate::error::Error;
use crate::work::QueueKind;

/// One task, ready to be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// What it is and which attempt: the same start has the same key whoever makes it.
    pub key: String,
    /// The message.
    pub message: Bytes,
}

/// What is known before a run about work that was started before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Running {
    /// The keys of tasks that have been started, whatever has become of them. They are not started again.
    pub keys: BTreeSet<String>,
    /// How many groups may be started now; `None`: as many as there are.
    pub room: Option<usize>,
}

/// A way to start work.
#[async_trait]
pub trait Starter: Send + Sync + fmt::Debug {
    /// Looks at what runs, before a run starts more.
    async fn running(&self) -> Result<Running, Error>;

    /// How many tasks of this kind are started together, at most.
    fn together(&self, queue: QueueKind) -> usize;

    /// Starts tasks, all or none of them; durable once this returns. After an error they may have been started all the
    /// same.
    async fn start(&self, queue: QueueKind, tasks: &[Task]) -> Result<(), Error>;

    /// Where work of this kind goes, for people.
    fn place(&self, queue: QueueKind) -> String;

    /// The queue of tasks of this kind that workers have set aside, if there is one that can be read.
    fn rejected(&self, _: QueueKind) -> Option<&SharedQueue> {
        None
    }
}
