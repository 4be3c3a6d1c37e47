//! The client side of private analytics, as on a phone: encode, randomise, split, encrypt and post
//! answers.
//!
//! An answer is encoded as bins ([`Encoding`]), each bin is flipped with a small probability
//! ([`RandomisedResponse`]), and the bins are split into shares with a proof. Each share is sealed
//! to one processor ([`Client`]). Fewer than all shares reveal nothing about the bins.
//!
//! ```
//! use tallybox_client::{Client, Encoding, ProcessorKey, RandomisedResponse, Value};
//! use tallybox_crypto::PacketPrivateKey;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut rng = rand::rng();
//! // Real clients read these from the processors' manifests.
//! let processors = ["health-authority-1", "facilitator-1"].map(|key_id| ProcessorKey {
//!     key_id: Some(key_id.to_owned()),
//!     public: *PacketPrivateKey::generate(&mut rng).public(),
//! });
//! let client = Client::new(processors.to_vec())?;
//!
//! // The third of five buckets; the noise may flip any of the five bins.
//! let bits = Encoding::Histogram { bins: 5 }.encode(&Value::Bucket(2))?;
//! let noise = RandomisedResponse::new(8.0)?;
//! let report = client.report(&noise.randomise(&bits, &mut rng), &mut rng)?;
//! assert_eq!(report.shares.len(), 2);
//!
//! # Ok(())
//! # }
//! ```
//!
//! With the feature `http` (on by default), a `post::Reporter` does all of this according to the
//! configuration that an ingestor serves, after `config::Trust` has verified it. It posts each
//! report until the outcome is known. `docs/clients.md` describes the same steps for other
//! languages.
//!
//! A phone never estimates; the crate `tallybox-estimate` removes the noise from sums.
//!
//! Generators are no part of the library for phones: the feature `traffic` adds the module
//! `traffic`, which makes many such reports from a seed, both honest and hostile ones, with known
//! sums; the feature `cli` adds the program, with its load generator.

#[cfg(feature = "http")]
mod address;
#[cfg(feature = "cli")]
pub mod check;
#[cfg(feature = "http")]
mod clock;
#[cfg(feature = "http")]
pub mod config;
mod encoding;
mod error;
#[cfg(feature = "cli")]
pub mod load;
mod noise;
#[cfg(feature = "http")]
pub mod post;
#[cfg(feature = "cli")]
pub mod program;
mod report;
mod sample;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod test_verifier;
#[cfg(any(test, feature = "traffic"))]
pub mod traffic;
mod upload;
#[cfg(feature = "http")]
mod wire;

#[cfg(feature = "http")]
pub use address::{Address, AddressError};
#[cfg(feature = "http")]
pub use clock::ClientClock;
pub use encoding::{Encoding, Value};
pub use error::{ClientError, EncodeError, EpsilonError};
pub use noise::RandomisedResponse;
pub use report::{Client, EncryptedShare, ProcessorKey, Report};
pub use sample::{SAMPLE_BINS, sample_bits};
#[cfg(feature = "http")]
pub use wire::Timeouts;
