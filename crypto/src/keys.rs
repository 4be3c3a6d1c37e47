//! The keys that sign batches, open packets and seal prepared batches.
//!
//! Every `parse` function recognises all of ENPA's encodings and ignores surrounding white space. A
//! key file of the predecessor, a Kubernetes secret of its key-rotator and a PEM file are therefore
//! interchangeable. Tallybox's own form of a packet key is a JSON document, which restricts the key
//! to one instance and one number of bins. Secrets are wiped when dropped and never printed by
//! `Debug`.

mod document;
mod packet_private;
mod packet_public;
mod purposes;
mod request;
mod scalar;
mod sealing;
mod signing;
mod text;
mod verifying;

pub use document::{PacketKeyDocument, PacketKeyFile};
pub use packet_private::PacketPrivateKey;
pub use packet_public::PacketPublicKey;
pub use purposes::{KeyPurposes, KeyReuse};
pub use sealing::SealingKey;
pub use signing::SigningKey;
pub use verifying::VerifyingKey;

/// Length of an uncompressed P-256 point, in bytes (X9.62: `04 || X || Y`).
pub const POINT_LENGTH: usize = 65;
/// Length of a P-256 scalar, in bytes (big-endian).
pub const SCALAR_LENGTH: usize = 32;

#[cfg(test)]
mod tests;
