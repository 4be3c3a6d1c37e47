//! Tasks to workers, at least once: a message stays until a worker says that it is done or never can be.
//!
//! Programs are configured with a [`QueuePlace`], open it, and talk to a [`TaskQueue`], whatever it is made of: memory, a
//! directory, SQS and SNS (feature `aws`), Google Pub/Sub (feature `gcp`). For operators: `docs/queues.md`.
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
//! | module | holds |
//! |---|---|
//! | [`queue`] | what a queue does, whatever it is made of |
//! | [`error`] | why it does not |
//! | [`memory`] | a queue in this process |
//! | [`directory`] | a queue of several processes on one machine |
//! | [`QueuePlace`], [`QueueSettings`] | a queue as configuration names it |
//! | `conformance` | what every queue has to do, as a test suite (feature `test-util`) |

#[cfg(feature = "aws")]
mod aws;
#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
pub mod directory;
pub mod error;
#[cfg(feature = "gcp")]
mod gcp;
mod limits;
pub mod memory;
mod open;
mod place;
pub mod queue;
mod settings;
mod target;

pub use directory::DirectoryQueue;
pub use error::{Disposition, QueueError};
pub use memory::MemoryQueue;
pub use place::{QueuePlace, RejectedPlace};
pub use queue::{Delivery, Depth, Lease, SharedQueue, TaskQueue};
pub use settings::QueueSettings;
