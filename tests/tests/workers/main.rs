//! Workers: nothing that a message, a queue or a peer does ends one, and no task is done by halves.
//!
//! Tests that carry the number of one of the predecessor's weaknesses (W7, W12, ...) fail on what it did.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod messages;
mod queues;
mod reload;
mod way_down;
mod world;
