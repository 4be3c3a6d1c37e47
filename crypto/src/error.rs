//! What can go wrong in this crate, one enum a question.
//!
//! None of these carries a secret: no key, no share, no evaluation point. Errors about a packet
//! ([`EciesError`], [`ShareError`], [`PointError`]) are the sender's fault and cost that packet;
//! [`KeyError`], [`Prio2Error`] and [`SealError`] are about our own configuration or files.

use thiserror::Error;

/// Why a text is not the key it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is nothing in it.
    #[error("key is empty")]
    Empty,
    /// The literal that deployment tools put into a secret before there is a key.
    #[error(
        "key is the placeholder `not-a-real-key`: the secret was created but never filled; \
         rotate or generate a key, then restart"
    )]
    Placeholder,
    /// Neither PEM nor base64, or its padding is wrong.
    #[error("key is neither PEM nor standard base64")]
    Encoding,
    /// Decoded, but to none of the forms accepted there.
    #[error("key is not {wanted}")]
    Format {
        /// The forms that would have been accepted.
        wanted: &'static str,
    },
    /// A private key where a public one belongs: another organisation must never be given it, and a copy in a
    /// configuration that only verifies is one copy too many.
    #[error(
        "key is private where a public key belongs: replace the file by its public half \
         (`facilitator key public FILE`), and treat the private key as exposed if others could read it"
    )]
    Private,
    /// A packet key document that is malformed, or that stands where another kind of key belongs.
    #[error("packet key document {problem}")]
    Document {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The scalar is zero or not below the order of P-256, or the point is not on the curve.
    #[error("key is not a valid P-256 key")]
    Invalid,
    /// The public half stored beside a secret scalar belongs to another scalar.
    #[error("public half of the key does not belong to its secret half")]
    Mismatch,
    /// A certificate request that its own key did not sign.
    #[error("certificate request is not signed by the key it carries (ecdsa-with-SHA256)")]
    RequestSignature,
    /// A common name for a certificate request that is empty or longer than X.520 allows.
    #[error("common name has to have 1 to 64 characters")]
    CommonName,
}

/// A signature that is not an ASN.1 ECDSA signature by this key over this message; which of these fails
/// cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("signature does not verify")]
pub struct SignatureError;

/// Why a packet could not be sealed or opened.
///
/// ENPA treats all of them as "wrong key, try the next one" (`docs/formats.md`); only [`Self::TagMismatch`]
/// can really mean that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EciesError {
    /// Shorter than a point and a tag, 81 bytes: no key opens it.
    #[error("ciphertext of {length} bytes is shorter than 81")]
    TooShort {
        /// Bytes there are.
        length: usize,
    },
    /// The first 65 bytes are not an uncompressed point of P-256: no key opens it.
    #[error("ephemeral public key is not an uncompressed point of P-256")]
    NotAPoint,
    /// Made for another key, or damaged.
    #[error("authentication tag does not match: another key's packet, or damaged")]
    TagMismatch,
    /// Only when sealing: the ephemeral scalar is zero or not below the order of P-256.
    #[error("ephemeral scalar is not a valid P-256 scalar")]
    Scalar,
    /// Only when sealing: longer than AES-GCM allows (64 GiB).
    #[error("plaintext is too long to seal")]
    TooLong,
}

impl EciesError {
    /// Whether another decryption key could still open this packet.
    pub fn may_be_another_key(&self) -> bool {
        matches!(self, Self::TagMismatch)
    }
}

/// A dimension that Prio2 cannot work with, or inputs that do not fit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Prio2Error {
    /// No bins, or so many that the field has no root of unity of the order needed.
    #[error("{bins} bins: Prio2 takes 1 to {max}")]
    Bins {
        /// Bins asked for.
        bins: usize,
        /// Most bins that the field allows.
        max: usize,
    },
    /// Another number of values than bins.
    #[error("{found} values for {bins} bins")]
    Dimension {
        /// Bins of the scheme.
        bins: usize,
        /// Values given.
        found: usize,
    },
    /// A value that is no field element.
    #[error("value {index} is not below the field modulus")]
    Element {
        /// Its position.
        index: usize,
    },
    /// A processor index that the scheme does not have.
    #[error("no processor {index}: Prio2 has two")]
    Processor {
        /// The index asked for.
        index: usize,
    },
    /// A proof that does not hold.
    #[error("proof does not hold")]
    Proof,
    /// Other than two verifier shares or aggregate shares were given.
    #[error("{found} shares: Prio2 combines two")]
    ShareCount {
        /// Shares given.
        found: usize,
    },
    /// A share that is none.
    #[error(transparent)]
    Share(#[from] ShareError),
}

/// Why a decrypted payload is no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShareError {
    /// Not as long as this processor's shares are at this number of bins.
    #[error("share has {found} bytes instead of {expected}")]
    Length {
        /// Bytes a share has here.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// An element that is not below the field modulus.
    #[error("share has an element that is not below the field modulus")]
    Element,
    /// There is no such processor.
    #[error("no processor {index}: Prio2 has two")]
    Processor {
        /// The index asked for.
        index: usize,
    },
}

/// Why a number is not used as an evaluation point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PointError {
    /// Negative, or not below the field modulus.
    #[error("evaluation point is not in the field")]
    OutOfRange,
    /// A root of unity: evaluating there would hand out a client's bit.
    #[error("evaluation point is a root of unity")]
    RootOfUnity,
}

/// A number in a verification message that does not fit into 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("verification message has a number outside of 0 to 2^32-1")]
pub struct MessageError;

/// Why a chunk of a prepared batch cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// More than a chunk may hold.
    #[error("chunk of {length} bytes is longer than {max}")]
    TooLong {
        /// Bytes given.
        length: usize,
        /// Most bytes allowed.
        max: usize,
    },
    /// Too short to hold a tag.
    #[error("chunk of {length} bytes is shorter than its tag")]
    TooShort {
        /// Bytes given.
        length: usize,
    },
    /// Damaged, moved, or sealed with another key or for another file.
    #[error("chunk {number} does not open: damaged, moved, or of another key or file")]
    Tag {
        /// Number of the chunk.
        number: u32,
    },
}

/// Why a signed JSON document is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JwsError {
    /// Not a flattened JWS of exactly the three members.
    #[error("not a flattened JWS (RFC 7515 section 7.2.2) with payload, protected and signature")]
    Form,
    /// Another algorithm than ES256.
    #[error("the signature's algorithm is not ES256")]
    Algorithm,
    /// A document of another kind.
    #[error("a signed document of another type")]
    Type,
    /// Nobody trusts this key.
    #[error("signed with key {key_id:?}, which is not trusted")]
    UnknownKey {
        /// The key that the document names.
        key_id: String,
    },
    /// The signature is not this key's over this payload.
    #[error("the signature does not verify with key {key_id:?}")]
    Signature {
        /// The key that the document names.
        key_id: String,
    },
}
