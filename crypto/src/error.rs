//! The errors of this crate, one enum for each kind of operation.
//!
//! No error contains a secret: no key, no share and no evaluation point. Errors about a packet
//! ([`EciesError`], [`ShareError`], [`PointError`]) are caused by its sender and reject only that
//! packet. [`KeyError`], [`Prio2Error`] and [`SealError`] are caused by the local configuration or
//! local files.

use thiserror::Error;

/// The reason why a text is not the expected key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is empty.
    #[error("key is empty")]
    Empty,
    /// The placeholder that deployment tools write into a secret before a key exists.
    #[error(
        "key is the placeholder `not-a-real-key`: the secret was created but never filled; \
         rotate or generate a key, then restart"
    )]
    Placeholder,
    /// The text is neither PEM nor base64, or its padding is wrong.
    #[error("key is neither PEM nor standard base64")]
    Encoding,
    /// The text can be decoded, but has none of the accepted forms.
    #[error("key is not {wanted}")]
    Format {
        /// The accepted forms.
        wanted: &'static str,
    },
    /// A private key where a public key is expected. A private key must never be given to another
    /// organisation, and a configuration that only verifies does not need a copy.
    #[error(
        "key is private where a public key belongs: replace the file by its public half \
         (`facilitator key public FILE`), and treat the private key as exposed if others could read it"
    )]
    Private,
    /// A packet key document that is malformed, or that is used where another kind of key is
    /// expected.
    #[error("packet key document {problem}")]
    Document {
        /// The problem.
        problem: &'static str,
    },
    /// The scalar is zero or not below the order of P-256, or the point is not on the curve.
    #[error("key is not a valid P-256 key")]
    Invalid,
    /// The public half stored next to a secret scalar belongs to another scalar.
    #[error("public half of the key does not belong to its secret half")]
    Mismatch,
    /// A certificate request that is not signed by the key in it.
    #[error("certificate request is not signed by the key it carries (ecdsa-with-SHA256)")]
    RequestSignature,
    /// The common name for a certificate request is empty or longer than X.520 allows.
    #[error("common name has to have 1 to 64 characters")]
    CommonName,
}

/// The error for a signature that does not verify. The text may not be an ASN.1 ECDSA signature, or
/// the signature may be of another key or message; the error does not distinguish these cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("signature does not verify")]
pub struct SignatureError;

/// The reason why a packet could not be encrypted or opened.
///
/// ENPA treats every such error as "wrong key, try the next one" (`docs/formats.md`). Only
/// [`Self::TagMismatch`] can have this cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EciesError {
    /// The packet is shorter than a point and a tag (81 bytes). No key opens it.
    #[error("ciphertext of {length} bytes is shorter than 81")]
    TooShort {
        /// Length of the packet in bytes.
        length: usize,
    },
    /// The first 65 bytes are not an uncompressed point of P-256. No key opens the packet.
    #[error("ephemeral public key is not an uncompressed point of P-256")]
    NotAPoint,
    /// The packet was encrypted to another key, or is damaged.
    #[error(
        "authentication tag does not match: the packet was encrypted to another key, or is damaged"
    )]
    TagMismatch,
    /// Only when encrypting: the ephemeral scalar is zero or not below the order of P-256.
    #[error("ephemeral scalar is not a valid P-256 scalar")]
    Scalar,
    /// Only when encrypting: the plaintext exceeds the limit of AES-GCM (64 GiB).
    #[error("plaintext is longer than AES-GCM allows")]
    TooLong,
}

impl EciesError {
    /// Returns whether another decryption key could open this packet.
    pub fn may_be_another_key(&self) -> bool {
        matches!(self, Self::TagMismatch)
    }
}

/// The reason why Prio2 cannot use a number of bins or an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Prio2Error {
    /// The number of bins is zero, or so large that the field has no root of unity of the required
    /// order.
    #[error("{bins} bins: Prio2 supports 1 to {max}")]
    Bins {
        /// The requested number of bins.
        bins: usize,
        /// The maximum number of bins in this field.
        max: usize,
    },
    /// The number of values differs from the number of bins.
    #[error("{found} values for {bins} bins")]
    Dimension {
        /// Number of bins of the scheme.
        bins: usize,
        /// Number of values given.
        found: usize,
    },
    /// A value is not a field element.
    #[error("value {index} is not below the field modulus")]
    Element {
        /// The position of the value.
        index: usize,
    },
    /// The processor index does not exist in the scheme.
    #[error("no processor {index}: Prio2 has two")]
    Processor {
        /// The requested index.
        index: usize,
    },
    /// The proof does not verify.
    #[error("proof does not verify")]
    Proof,
    /// The number of verifier shares or aggregate shares is not two.
    #[error("{found} shares: Prio2 combines two")]
    ShareCount {
        /// Number of shares given.
        found: usize,
    },
    /// A share is invalid.
    #[error(transparent)]
    Share(#[from] ShareError),
}

/// The reason why a decrypted payload is not a valid share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShareError {
    /// The length of the share is wrong for this processor and number of bins.
    #[error("share has {found} bytes instead of {expected}")]
    Length {
        /// The required length in bytes.
        expected: usize,
        /// The actual length in bytes.
        found: usize,
    },
    /// An element of the share is not below the field modulus.
    #[error("share has an element that is not below the field modulus")]
    Element,
    /// The processor index does not exist in the scheme.
    #[error("no processor {index}: Prio2 has two")]
    Processor {
        /// The requested index.
        index: usize,
    },
}

/// The reason why a number is refused as an evaluation point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PointError {
    /// The number is negative or not below the field modulus.
    #[error("evaluation point is not in the field")]
    OutOfRange,
    /// The number is a root of unity. An evaluation at this point would reveal a client's bit.
    #[error("evaluation point is a root of unity")]
    RootOfUnity,
}

/// The error for a number in a verification message that does not fit into 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("verification message has a number outside of 0 to 2^32-1")]
pub struct MessageError;

/// The reason why a chunk of a prepared batch cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The chunk exceeds the maximum length.
    #[error("chunk of {length} bytes is longer than {max}")]
    TooLong {
        /// Length in bytes.
        length: usize,
        /// Maximum length in bytes.
        max: usize,
    },
    /// The chunk is too short to contain a tag.
    #[error("chunk of {length} bytes is shorter than its tag")]
    TooShort {
        /// Length in bytes.
        length: usize,
    },
    /// The file has more chunks than can be numbered.
    #[error("the file has too many chunks")]
    TooMany,
    /// The chunk is damaged, was moved, or was sealed with another key or for another file.
    #[error(
        "chunk {number} does not open: it is damaged, was moved, or was sealed with another key or for another file"
    )]
    Tag {
        /// Number of the chunk.
        number: u32,
    },
}

/// The reason why a signed JSON document is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JwsError {
    /// The document is not a flattened JWS with exactly the three members.
    #[error(
        "the document is not a flattened JWS (RFC 7515 section 7.2.2) with payload, protected and signature"
    )]
    Form,
    /// The algorithm is not ES256.
    #[error("the signature's algorithm is not ES256")]
    Algorithm,
    /// The document has another type.
    #[error("the signed document has another type")]
    Type,
    /// The key is not trusted.
    #[error("the document is signed with key {key_id:?}, which is not trusted")]
    UnknownKey {
        /// The key id in the document.
        key_id: String,
    },
    /// The signature over this payload does not verify with the key.
    #[error("the signature does not verify with key {key_id:?}")]
    Signature {
        /// The key id in the document.
        key_id: String,
    },
}
