//! Shared code of the pipeline tests: ENPA's test vectors, processors that read them, the graph of
//! crates, and the project's files.
#![allow(
    clippy::expect_used,
    reason = "test support: a failure here is a failed test"
)]

pub mod files;
pub mod forge;
pub mod forged;
pub mod frame;
pub mod graph;
pub mod ingest;
pub mod process;
pub mod snapshot;
pub mod vectors;
