//! `ingestor serve` from outside: by its router, and by its sockets.
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
