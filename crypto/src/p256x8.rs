//! Key agreement on P-256 of one private key with many public keys, eight at a time.
//!
//! Opening a packet is one multiplication of the packet's ephemeral key by a fixed scalar, and this
//! multiplication bounds the rate of intake. [`FixedScalar::agree_batch`] multiplies eight points
//! at once with AVX-512 IFMA, where the processor has these instructions, and otherwise one after
//! another with aws-lc. Both give the same results for every input. `docs/p256x8.md` describes the
//! arithmetic and how each of its properties is checked.
//!
//! The instructions that are executed and the addresses that are accessed depend on the number of
//! points and on their validity, never on the scalar or on a shared secret.

mod encoding;
mod field;
#[cfg(target_arch = "x86_64")]
mod ifma;
#[cfg(not(target_arch = "x86_64"))]
#[path = "p256x8/no_ifma.rs"]
mod ifma;
mod implementation;
mod inversion;
mod multiply;
mod point;
mod recoding;
mod self_test;
mod vector;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod portable;
#[cfg(test)]
mod tests;

pub use implementation::{ChoiceReason, Implementation, ImplementationChoice, VARIABLE};

use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use p256::SecretKey;
use zeroize::Zeroizing;

use crate::error::{EciesError, KeyError};
use crate::keys::{POINT_LENGTH, SCALAR_LENGTH};
use ifma::Detected;
use multiply::{Batch, MAX_POINTS};
use recoding::Recoding;

/// The smallest batch for which eight lanes are faster than the scalar library.
const MIN_POINTS: usize = 2;

/// The private scalar of a key, prepared for both implementations.
pub struct FixedScalar {
    agreement: PrivateKey,
    /// Missing for a few weak scalars, which only the scalar library multiplies.
    recoding: Option<Recoding>,
}

impl FixedScalar {
    /// Prepares a scalar of 32 big-endian bytes.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] unless the number is from 1 to the order of the curve minus 1.
    pub fn new(scalar: &[u8; SCALAR_LENGTH]) -> Result<Self, KeyError> {
        Self::from_secret(&SecretKey::from_slice(scalar).map_err(|_| KeyError::Invalid)?)
    }

    pub(crate) fn from_secret(secret: &SecretKey) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(secret.to_bytes());
        let agreement = PrivateKey::from_private_key(&ECDH_P256, bytes.as_slice())
            .map_err(|_| KeyError::Invalid)?;
        let scalar = Zeroizing::new(*secret.to_nonzero_scalar());
        Ok(Self {
            agreement,
            recoding: Recoding::new(&scalar),
        })
    }

    /// Agrees on a secret with one public key, through the scalar library, and passes the secret, an
    /// x coordinate, to `use_secret`.
    ///
    /// # Errors
    /// [`EciesError::NotAPoint`] if `peer` is not an uncompressed point of the curve.
    pub fn agree<R>(
        &self,
        peer: &[u8; POINT_LENGTH],
        use_secret: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, EciesError> {
        // The library would also accept the other point encodings that can have 65 bytes.
        if peer[0] != multiply::UNCOMPRESSED {
            return Err(EciesError::NotAPoint);
        }
        let peer = UnparsedPublicKey::new(&ECDH_P256, peer);
        agreement::agree(&self.agreement, peer, EciesError::NotAPoint, |secret| {
            Ok(use_secret(secret))
        })
    }

    /// Agrees on a secret with each of the public keys, with the implementation that
    /// [`ImplementationChoice::get`] returns. Passes the index of the key and the secret to `use_secret`, in
    /// the order of the keys; [`EciesError::NotAPoint`] for a key that is not an uncompressed point
    /// of the curve.
    pub fn agree_batch(
        &self,
        peers: &[&[u8; POINT_LENGTH]],
        use_secret: impl FnMut(usize, Result<&[u8], EciesError>),
    ) {
        self.agree_batch_with(
            ImplementationChoice::get().implementation,
            peers,
            use_secret,
        );
    }

    /// Agrees as [`Self::agree_batch`] does, with this implementation.
    pub fn agree_batch_with(
        &self,
        implementation: Implementation,
        peers: &[&[u8; POINT_LENGTH]],
        mut use_secret: impl FnMut(usize, Result<&[u8], EciesError>),
    ) {
        match (implementation.lanes, &self.recoding) {
            (Some(detected), Some(recoding)) if peers.len() >= MIN_POINTS => {
                agree_in_lanes(detected, recoding, peers, &mut use_secret);
            }
            _ => {
                for (index, peer) in peers.iter().enumerate() {
                    let agreed = self.agree(peer, |secret| use_secret(index, Ok(secret)));
                    agreed.unwrap_or_else(|error| use_secret(index, Err(error)));
                }
            }
        }
    }
}

/// Agrees in chunks of the size that fits into the caches.
fn agree_in_lanes(
    detected: Detected,
    recoding: &Recoding,
    peers: &[&[u8; POINT_LENGTH]],
    use_secret: &mut impl FnMut(usize, Result<&[u8], EciesError>),
) {
    let mut valid = [false; MAX_POINTS];
    let mut products = Zeroizing::new([[0; SCALAR_LENGTH]; MAX_POINTS]);
    for (chunk, points) in peers.chunks(MAX_POINTS).enumerate() {
        let mut batch = Batch {
            points,
            valid: &mut valid[..points.len()],
            products: &mut products[..points.len()],
        };
        ifma::multiply(detected, recoding, &mut batch);
        for (index, (valid, product)) in batch.valid.iter().zip(&*batch.products).enumerate() {
            let secret = if *valid {
                Ok(product.as_slice())
            } else {
                Err(EciesError::NotAPoint)
            };
            use_secret(chunk * MAX_POINTS + index, secret);
        }
    }
}
