//! The cryptography of Tallybox: batch signatures, packet encryption, Prio2 shares and proofs, and
//! the sealing of prepared batches.
//!
//! Code that handles keys and shares belongs in this crate, so a security review starts here. Every
//! function is pure: the caller passes in randomness, and the crate uses no clock, no files and no
//! network. One environment variable selects an implementation ([`p256x8`]), not a result.
//!
//! # Modules
//!
//! | module | contents |
//! |---|---|
//! | [`keys`] | the keys of batches, packets and prepared batches, in all encodings of ENPA |
//! | [`ecies`] | encryption of a share to a processor, and its decryption |
//! | [`p256x8`] | key agreement of one private key with many public keys |
//! | [`prio2`] | splitting a bit vector into two shares with a proof; verifying and adding them |
//! | [`scheme`] | the interface of such a scheme, in the terms of VDAF-18 |
//! | [`prepared`] | sealing of a processor's own records, chunk by chunk |
//! | [`pseudonym`] | identifiers, order and evaluation points derived from an ingestor's secret |
//! | [`jws`] | signed JSON documents: the configuration of clients |
//! | [`error`] | the errors of all modules |
//!
//! # Life of a packet
//!
//! A client calls [`Prio2::split`](prio2::Prio2::split) and encrypts each share with
//! [`ecies::seal`]. A processor decrypts its share with [`PacketPrivateKey::open`], decodes it and
//! computes a verification message ([`Evaluator::message`](prio2::Evaluator::message)). With the
//! peer's message, [`Message::is_valid_with`](prio2::Message::is_valid_with) decides whether the
//! packet is accepted, and [`Sum::add`](prio2::Sum::add) adds its data. [`SigningKey`] and
//! [`VerifyingKey`] sign and verify the batches in which packets and messages travel.
//!
//! # Secrets and errors
//!
//! Types that contain a secret are wiped when dropped, and their `Debug` output omits the secret.
//! Functions that fill a caller's buffer with a secret document that the caller has to wipe it.
//! Errors never contain a secret: [`error`] lists them, and states for each whether the sender of a
//! packet or the local operator caused it.

pub mod ecies;
pub mod error;
pub mod jws;
pub mod keys;
pub mod p256x8;
pub mod prepared;
pub mod prio2;
pub mod pseudonym;
pub mod scheme;

mod wipe;

pub use error::{
    EciesError, JwsError, KeyError, MessageError, PointError, Prio2Error, SealError, ShareError,
    SignatureError,
};
pub use keys::{
    KeyPurposes, KeyReuse, PacketKeyDocument, PacketKeyFile, PacketPrivateKey, PacketPublicKey,
    SealingKey, SigningKey, VerifyingKey,
};
pub use pseudonym::IngestorSecret;
