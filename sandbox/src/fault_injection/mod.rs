//! Fault injection: buckets and queues with delays, failures and lost answers, as one process of a
//! sandbox sees them.
//!
//! | file | content |
//! |---|---|
//! | `fault_injector` | the fault profile, and its random generator |
//! | `bucket` | a bucket that is slow, fails and loses answers; its date is the sandbox clock's |
//! | `queue` | a queue that delivers late, twice and out of order, and loses messages |

mod bucket;
mod fault_injector;
mod queue;

pub use bucket::ChaosBucket;
pub use fault_injector::{FaultInjector, FaultProfile};
pub use queue::ChaosQueue;
