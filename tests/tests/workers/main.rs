//! Workers: no message, queue or peer can end a worker process, and no task is done only in part.
//!
//! A test whose name starts with the number of one of the predecessor's weaknesses (W7, W12, ...)
//! fails on the behaviour of the predecessor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod messages;
mod queues;
mod reload;
mod shutdown;
mod world;
