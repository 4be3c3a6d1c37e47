//! Batch signatures, packet seal and open, Prio verify and add, prepared-batch sealing.
//!
//! Pure: no clock, no files, no network. Randomness is passed in. Everything that touches a secret lives
//! here, so this is the crate to review first.
//!
//! | module | what for |
//! |---|---|
//! | [`keys`] | the keys of batches, packets and prepared batches, in every encoding ENPA uses |
//! | [`ecies`] | sealing a share to a processor, and opening it |
//! | [`prio2`] | splitting a bit vector into two shares with a proof; checking and adding them |
//! | [`scheme`] | what any such scheme has to offer, in the words of VDAF-18 |
//! | [`prepared`] | sealing of a processor's own records, chunk by chunk |
//! | [`pseudonym`] | the ids, the order and the evaluation points that an ingestor derives from its secret |
//! | [`jws`] | signed JSON documents: the configuration of clients |
//! | [`error`] | what can go wrong |

pub mod ecies;
pub mod error;
pub mod jws;
pub mod keys;
pub mod prepared;
pub mod prio2;
pub mod pseudonym;
pub mod scheme;

mod wipe;

pub use error::{
    EciesError, JwsError, KeyError, MessageError, PointError, Prio2Error, SealError, ShareError, SignatureError,
};
pub use keys::{
    KeyPurposes, KeyReuse, PacketKeyDocument, PacketKeyFile, PacketPrivateKey, PacketPublicKey, SealingKey, SigningKey,
    VerifyingKey,
};
pub use pseudonym::IngestorSecret;
