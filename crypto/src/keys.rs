//! The keys: what signs batches, what opens packets, what seals prepared batches.
//!
//! Every `parse` finds out by itself which of ENPA's encodings it has been given, surrounding white space
//! aside, so that a key file of the predecessor, a Kubernetes secret of its key-rotator and a PEM file all
//! work in the same place. A packet key of ours is a JSON document, which restricts the key to one instance and one
//! number of bins. Secrets are wiped when dropped and never shown by `Debug`.

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
