//! What a phone does: encode, randomise, split, encrypt; and a generator of realistic traffic.
//!
//! An answer becomes bins ([`Encoding`]), each bin lies now and then ([`RandomisedResponse`]), and the bins are split
//! into shares with a proof, one sealed to each processor ([`Client`]). Nobody who holds fewer than all the shares
//! learns anything about the bins. Sending a report is not in here.
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
//! // The third of five buckets, and now and then another bin than that.
//! let bits = Encoding::Histogram { bins: 5 }.encode(&Value::Bucket(2))?;
//! let noise = RandomisedResponse::new(8.0)?;
//! let report = client.report(&noise.randomise(&bits, &mut rng), &mut rng)?;
//! assert_eq!(report.shares.len(), 2);
//!
//! // Once 13,394 such reports are summed, and 240 of them have a bin set:
//! let estimate = noise.debias(240, 13_394);
//! assert!((estimate.value - 235.7).abs() < 0.1 && estimate.standard_error < 2.2);
//! # Ok(())
//! # }
//! ```
//!
//! [`traffic`] makes many such reports from a seed, honest and hostile ones, whose sums are known beforehand.

mod encoding;
mod error;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod judge;
mod noise;
mod report;
mod sample;
pub mod traffic;

pub use encoding::{Encoding, Value};
pub use error::{ClientError, EncodeError, EpsilonError};
pub use noise::{Estimate, RandomisedResponse};
pub use report::{Client, EncryptedShare, ProcessorKey, Report};
pub use sample::{SAMPLE_BINS, sample_bits};
