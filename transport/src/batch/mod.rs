//! Signed batches in buckets: a header, packets and a signature over the header.
//!
//! A batch becomes readable step by step, and no step can be left out: [`SignedBatch::open`] fetches it and checks the
//! signature; only then is there a header; the packets stream through [`PacketStream`], whose end is the verdict on
//! their digest. Nothing that came from the packets may be published before that verdict.

mod error;
mod packets;
mod signed;
mod writer;

pub use error::BatchError;
pub use packets::{PacketBlock, PacketStream};
pub use signed::{SignedBatch, TrustedKeys};
pub use writer::{BatchWriter, Written, signature_file};
