//! Signed batches in buckets: a header, packets and a signature over the header.
//!
//! The types enforce the order of the checks. [`SignedBatch::open`] fetches a batch and verifies
//! its signature; only then is its header accessible. [`PacketStream`] streams the packets and
//! compares their digest at the end. Nothing derived from the packets may be published before that
//! comparison.

mod error;
mod packets;
mod signed;
mod writer;

pub use error::BatchError;
pub use packets::{PacketBlock, PacketStream};
pub use signed::{SignedBatch, TrustedKeys};
pub use writer::{BatchWriter, Written, signature_file};
