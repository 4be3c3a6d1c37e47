//! ENPA's packet envelope: ECIES over P-256 with AES-128-GCM (Apple's
//! `eciesEncryptionCofactorVariableIVX963SHA256AESGCM`).
//!
//! ```text
//! 65 bytes   ephemeral public key, uncompressed
//!  n bytes   AES-128-GCM ciphertext
//! 16 bytes   tag
//! ```
//!
//! Key and nonce are the two halves of SHA-256(shared x coordinate, 00 00 00 01, ephemeral public
//! key), the X9.63 KDF. The nonce has **16** bytes. `aws-lc-rs` accepts only 12-byte nonces, so the
//! symmetric half uses RustCrypto.

use std::fmt;

use aes::Aes128Enc;
use aes::cipher::consts::U16;
use aes_gcm::{AeadInOut as _, AesGcm, KeyInit as _};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::EciesError;
use crate::keys::{POINT_LENGTH, PacketPrivateKey, PacketPublicKey, SCALAR_LENGTH};

/// Number of bytes that encryption adds: the ephemeral public key and the tag.
pub const OVERHEAD: usize = POINT_LENGTH + TAG_LENGTH;

/// Length of the GCM tag, in bytes.
const TAG_LENGTH: usize = 16;
/// Length of the AES key, in bytes. The key is the first half of the derived bytes; the nonce is
/// the second.
const KEY_LENGTH: usize = 16;
/// The first byte of an uncompressed point.
const UNCOMPRESSED: u8 = 4;

/// AES-128-GCM with a 16-byte nonce.
pub(crate) type Cipher = AesGcm<Aes128Enc, U16>;

/// Encrypts `plaintext` to `public` with a new ephemeral key. The result is [`OVERHEAD`] bytes
/// longer than the plaintext.
///
/// # Errors
/// [`EciesError::TooLong`] if the plaintext exceeds the limit of AES-GCM (64 GiB).
pub fn seal(
    public: &PacketPublicKey,
    plaintext: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<u8>, EciesError> {
    let mut scalar = Zeroizing::new([0; SCALAR_LENGTH]);
    loop {
        rng.fill_bytes(scalar.as_mut_slice());
        match seal_with_ephemeral(public, plaintext, &scalar) {
            // One scalar in 2^32 is not below the order of the curve. Draw another one.
            Err(EciesError::Scalar) => {}
            result => return result,
        }
    }
}

/// Encrypts `plaintext` to `public` with a given ephemeral scalar. For tests and reproducible
/// traffic only: **two packets with the same scalar and recipient have the same key and nonce.**
///
/// # Errors
/// [`EciesError::Scalar`] if the scalar is zero or not below the order of the curve;
/// [`EciesError::TooLong`] if the plaintext exceeds the limit of AES-GCM (64 GiB).
pub fn seal_with_ephemeral(
    public: &PacketPublicKey,
    plaintext: &[u8],
    scalar: &[u8; SCALAR_LENGTH],
) -> Result<Vec<u8>, EciesError> {
    let ephemeral =
        PrivateKey::from_private_key(&ECDH_P256, scalar).map_err(|_| EciesError::Scalar)?;
    let ephemeral_public = ephemeral
        .compute_public_key()
        .map_err(|_| EciesError::Scalar)?;
    let peer = UnparsedPublicKey::new(&ECDH_P256, public.as_bytes());
    let derived = agreement::agree(&ephemeral, peer, EciesError::NotAPoint, |secret| {
        Ok(derive(secret, ephemeral_public.as_ref()))
    })?;

    let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD);
    sealed.extend_from_slice(ephemeral_public.as_ref());
    sealed.extend_from_slice(plaintext);
    let (cipher, nonce) = cipher(&derived);
    let tag = cipher
        .encrypt_inout_detached(nonce.into(), &[], (&mut sealed[POINT_LENGTH..]).into())
        .map_err(|_| EciesError::TooLong)?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Checks an encrypted packet as far as possible without its private key: its length, and that its
/// ephemeral key is an uncompressed point of the curve. The check takes about one hundredth of the
/// time of opening the packet.
///
/// # Errors
/// [`EciesError::TooShort`] or [`EciesError::NotAPoint`].
pub fn check_ephemeral(ciphertext: &[u8]) -> Result<(), EciesError> {
    let point = ephemeral_key(ciphertext)?;
    if point[0] != UNCOMPRESSED {
        return Err(EciesError::NotAPoint);
    }
    p256::PublicKey::from_sec1_bytes(point)
        .map(|_| ())
        .map_err(|_| EciesError::NotAPoint)
}

impl PacketPrivateKey {
    /// Decrypts `ciphertext` into `buffer` and returns the plaintext.
    ///
    /// The function replaces the content of the buffer. Passing the same buffer for each packet
    /// saves allocations. The buffer contains a share afterwards, so **its owner has to wipe it**
    /// (`Zeroizing<Vec<u8>>`). After an error, the buffer is empty.
    ///
    /// # Errors
    /// [`EciesError::TooShort`], [`EciesError::NotAPoint`] or [`EciesError::TagMismatch`]. Only
    /// after the last may another key open the packet.
    pub fn open<'b>(
        &self,
        ciphertext: &[u8],
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b mut [u8], EciesError> {
        let agree = |point| self.agreement.agree(point, |secret| derive(secret, point));
        let key = PacketSecret(ephemeral_key(ciphertext).and_then(agree));
        key.open(ciphertext, buffer)
    }

    /// Performs the key agreements for many packets at once, which takes a fraction of the time of
    /// as many calls of [`Self::open`] if the processor supports it ([`crate::p256x8`]). The results
    /// are in the order of the packets.
    pub fn agree_with(&self, ciphertexts: &[&[u8]]) -> Vec<PacketSecret> {
        let mut secrets = Vec::with_capacity(ciphertexts.len());
        let mut points = Vec::with_capacity(ciphertexts.len());
        let mut places = Vec::with_capacity(ciphertexts.len());
        for (place, ciphertext) in ciphertexts.iter().enumerate() {
            let point = ephemeral_key(ciphertext);
            if let Ok(point) = point {
                points.push(point);
                places.push(place);
            }
            // The agreement replaces the error of a packet that is long enough.
            let error = point.err().unwrap_or(EciesError::NotAPoint);
            secrets.push(PacketSecret(Err(error)));
        }
        self.agreement.agree_batch(&points, |index, secret| {
            let derived = secret.map(|secret| derive(secret, points[index]));
            secrets[places[index]] = PacketSecret(derived);
        });
        secrets
    }
}

/// The key and nonce of one packet under one private key, or the reason why there are none. The
/// bytes are wiped when dropped.
pub struct PacketSecret(Result<Zeroizing<[u8; 2 * KEY_LENGTH]>, EciesError>);

impl PacketSecret {
    /// Decrypts the packet as [`PacketPrivateKey::open`] does. `ciphertext` has to be that packet.
    ///
    /// # Errors
    /// As [`PacketPrivateKey::open`]. Another packet than that of the key agreement is
    /// [`EciesError::TagMismatch`].
    pub fn open<'b>(
        &self,
        ciphertext: &[u8],
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b mut [u8], EciesError> {
        buffer.clear();
        let derived = self.0.as_ref().map_err(|error| *error)?;
        let too_short = EciesError::TooShort {
            length: ciphertext.len(),
        };
        let (_, rest) = ciphertext.split_at_checked(POINT_LENGTH).ok_or(too_short)?;
        let (body, tag) = rest.split_last_chunk::<TAG_LENGTH>().ok_or(too_short)?;
        let (cipher, nonce) = cipher(derived);
        buffer.extend_from_slice(body);
        let opened = cipher.decrypt_inout_detached(
            nonce.into(),
            &[],
            buffer.as_mut_slice().into(),
            tag.into(),
        );
        if opened.is_err() {
            buffer.clear();
            return Err(EciesError::TagMismatch);
        }
        Ok(buffer)
    }
}

impl fmt::Debug for PacketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketSecret").finish_non_exhaustive()
    }
}

/// Returns the first bytes of a packet that is long enough, which should be its ephemeral key.
fn ephemeral_key(ciphertext: &[u8]) -> Result<&[u8; POINT_LENGTH], EciesError> {
    let length = ciphertext.len();
    let point = ciphertext.first_chunk().filter(|_| length >= OVERHEAD);
    point.ok_or(EciesError::TooShort { length })
}

/// Derives key and nonce by the X9.63 KDF: SHA-256(secret, counter 1, ephemeral public key).
fn derive(secret: &[u8], ephemeral_public: &[u8]) -> Zeroizing<[u8; 2 * KEY_LENGTH]> {
    let mut hash = Sha256::new();
    hash.update(secret);
    hash.update([0, 0, 0, 1]);
    hash.update(ephemeral_public);
    let mut derived = Zeroizing::new([0; 2 * KEY_LENGTH]);
    hash.finalize_into((&mut *derived).into());
    derived
}

/// Splits derived bytes into the cipher and its nonce.
fn cipher(derived: &[u8; 2 * KEY_LENGTH]) -> (Cipher, &[u8; KEY_LENGTH]) {
    let ([key, nonce], _) = derived.as_chunks::<KEY_LENGTH>() else {
        unreachable!("32 bytes are two halves")
    };
    (Cipher::new(key.into()), nonce)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;
