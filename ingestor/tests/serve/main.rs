//! Tests of `ingestor serve` through its router and its sockets.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod abuse;
mod bad_reports;
mod clocks;
mod documents;
mod failures;
mod overload;
mod packing;
mod slow;
mod sockets;
mod world;
