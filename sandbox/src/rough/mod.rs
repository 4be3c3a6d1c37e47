//! Rough weather: buckets and queues as they are at their worst, as one process of a sandbox sees them.
//!
//! | file | does |
//! |---|---|
//! | `weather` | how rough it is, and the dice |
//! | `bucket` | a bucket that is slow, fails, and loses answers; its date follows the sandbox's clock |
//! | `queue` | a queue that delivers twice, late, in any order, and loses messages |

mod bucket;
mod queue;
mod weather;

pub use bucket::SandboxBucket;
pub use queue::RoughQueue;
pub use weather::{Chances, Weather};
