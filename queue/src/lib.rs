//! Task queues with at-least-once delivery: a message remains in the queue until a worker
//! acknowledges or rejects it.
//!
//! Programs are configured with a [`QueuePlace`], open it, and use it through the [`TaskQueue`]
//! trait. The implementations are queues in memory, in a directory, in SQS and SNS (feature `aws`),
//! and in Google Pub/Sub (feature `gcp`). `docs/queues.md` is the guide for operators.
//!
//! A received message is leased to the receiver. The receiver renews the lease while it works, and
//! finally acknowledges the message, returns it for a retry, or rejects it with a reason. The queue
//! delivers a message whose lease expires again, so a task has to be idempotent.
//!
//! ```
//! use std::{path::Path, time::Duration};
//! use tallybox_queue::{QueueError, QueuePlace};
//!
//! # async fn example() -> Result<(), QueueError> {
//! let queue = QueuePlace::new("memory:tasks").open(Path::new("."))?;
//! queue.publish("{}".into()).await?;
//! if let Some(delivery) = queue.receive(Duration::from_secs(20)).await? {
//!     match work_on(&delivery.body) {
//!         Ok(()) => queue.ack(&delivery.lease).await?,
//!         Err(reason) => queue.reject(&delivery, &reason).await?,
//!     }
//! }
//! # Ok(())
//! # }
//! # fn work_on(_: &[u8]) -> Result<(), String> { Ok(()) }
//! ```
//!
//! # Modules
//!
//! | module | contents |
//! |---|---|
//! | [`queue`] | the interface of a queue, independent of its implementation |
//! | [`error`] | the errors of queues |
//! | [`memory`] | a queue within one process |
//! | [`directory`] | a queue for several processes on one machine |
//! | [`QueuePlace`], [`QueueSettings`] | a queue as specified in a configuration |
//! | `conformance` | the requirements of every queue, as a test suite (feature `test-util`) |
//!
//! # Errors
//!
//! Every operation returns a [`QueueError`], which names the queue and the operation and never
//! contains a secret. [`QueueError::disposition`] tells whether a later attempt may succeed. A
//! message that cannot be processed is not an error of the queue: the worker rejects it with
//! [`TaskQueue::reject`].

#[cfg(feature = "aws")]
mod aws;
#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
pub mod directory;
mod endpoint;
pub mod error;
#[cfg(feature = "gcp")]
mod gcp;
mod limits;
pub mod memory;
mod open;
mod place;
pub mod queue;
mod settings;

pub use directory::DirectoryQueue;
pub use error::{QueueDisposition, QueueError};
pub use memory::MemoryQueue;
pub use place::{QueuePlace, RejectedPlace};
pub use queue::{Delivery, Depth, Lease, SharedQueue, TaskQueue};
pub use settings::QueueSettings;
