//! Tasks to workers, at least once: a message stays until a worker says that it is done or never can be.
//!
//! | module | holds |
//! |---|---|
//! | [`queue`] | what a queue does, whatever it is made of |
//! | [`error`] | why it does not |

pub mod error;
pub mod queue;

pub use error::QueueError;
pub use queue::{Delivery, Depth, Lease, SharedQueue, TaskQueue};
