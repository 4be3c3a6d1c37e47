//! What the tests of the whole pipeline share: the predecessor's vectors, and processors that read them.
#![allow(clippy::expect_used, reason = "test support: a failure here is a failed test")]

pub mod forge;
pub mod snapshot;
pub mod vectors;
