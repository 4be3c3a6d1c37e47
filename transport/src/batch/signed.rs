//! The fetching of a batch from three objects, or one, and the verification of its signature with a
//! trusted key.

use super::{BatchError, PacketStream};
use crate::bucket::Bucket;
use crate::error::BucketError;
use crate::publish::read_all;
use bytes::Bytes;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use tallybox_crypto::keys::VerifyingKey;
use tallybox_model::avro::{FileLimits, Record, decode_one};
use tallybox_model::digest::Digest;
use tallybox_model::path::BatchObjects;
use tallybox_model::signature::ReadSignature;
use tokio::runtime::Handle;

/// The keys with which one other organisation signs, by their identifiers.
pub type TrustedKeys = BTreeMap<String, VerifyingKey>;

/// A batch whose signature has been verified. Its header can be read, and its packets can be
/// streamed.
#[derive(Debug)]
pub struct SignedBatch {
    objects: BatchObjects,
    key: String,
    header: Bytes,
    packets: Option<Bytes>,
    limits: FileLimits,
}

impl SignedBatch {
    /// Fetches signature and header and verifies the signature over the header. The function takes
    /// two bucket operations, or one if the batch is inline. If the batch does not verify, the
    /// function fetches it once more, because a single corrupted read does not prove a forgery.
    ///
    /// # Errors
    /// [`BatchError`]: the batch is absent, incomplete or malformed, its key is unknown, its
    /// signature does not verify, or the bucket fails.
    pub async fn open(
        bucket: &dyn Bucket,
        objects: BatchObjects,
        keys: &TrustedKeys,
        limits: &FileLimits,
    ) -> Result<Self, BatchError> {
        match Self::fetch(bucket, objects.clone(), keys, limits).await {
            Err(error) if error.is_damage() => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, bucket = bucket.location(), "batch does not verify; reading it again");
                Self::fetch(bucket, objects, keys, limits).await
            }
            other => other,
        }
    }

    async fn fetch(
        bucket: &dyn Bucket,
        objects: BatchObjects,
        keys: &TrustedKeys,
        limits: &FileLimits,
    ) -> Result<Self, BatchError> {
        let for_signature = limits.for_signature();
        let file = match read_all(bucket, &objects.signature, for_signature.object_bytes).await {
            Err(BucketError::NotFound { key, .. }) => {
                return Err(BatchError::NotThere { object: key });
            }
            other => other?,
        };
        let (signed, inline) = parts(&file, &objects, limits)?;
        // The parts do not borrow from the file, which can be as large as a batch.
        drop(file);
        let (header, packets) = match inline {
            Some((header, packets)) => (header, Some(packets)),
            None => (fetch_header(bucket, &objects.header, limits).await?, None),
        };
        Self::verify(objects, signed, (header, packets), keys, limits)
    }

    /// Verifies a batch of one object that is already in memory.
    ///
    /// # Errors
    /// Those of [`Self::open`]; [`BatchError::Incomplete`] if header and packets are not in the
    /// object.
    pub fn inline(
        objects: BatchObjects,
        file: &[u8],
        keys: &TrustedKeys,
        limits: &FileLimits,
    ) -> Result<Self, BatchError> {
        let (signed, inline) = parts(file, &objects, limits)?;
        let Some((header, packets)) = inline else {
            return Err(BatchError::Incomplete {
                object: objects.header,
            });
        };
        Self::verify(objects, signed, (header, Some(packets)), keys, limits)
    }

    /// Verifies a batch whose objects are already in memory; an inline header and packets take
    /// precedence over separate ones, as in [`Self::open`].
    ///
    /// # Errors
    /// Those of [`Self::open`], except the bucket's.
    pub fn from_files(
        objects: BatchObjects,
        signature: &[u8],
        separate: (Bytes, Bytes),
        keys: &TrustedKeys,
        limits: &FileLimits,
    ) -> Result<Self, BatchError> {
        let (signed, inline) = parts(signature, &objects, limits)?;
        let (header, packets) = inline.unwrap_or(separate);
        Self::verify(objects, signed, (header, Some(packets)), keys, limits)
    }

    fn verify(
        objects: BatchObjects,
        (bytes, key): (Vec<u8>, String),
        (header, packets): (Bytes, Option<Bytes>),
        keys: &TrustedKeys,
        limits: &FileLimits,
    ) -> Result<Self, BatchError> {
        let object = || objects.signature.clone();
        let verifier = keys.get(&key).ok_or_else(|| BatchError::UnknownKey {
            object: object(),
            key: key.clone(),
        })?;
        if verifier.verify(&header, &bytes).is_err() {
            return Err(BatchError::BadSignature {
                object: object(),
                key,
            });
        }
        Ok(Self {
            objects,
            key,
            header,
            packets,
            limits: limits.clone(),
        })
    }

    /// Returns the identifier of the key that verifies the signature.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Parses the header.
    ///
    /// # Errors
    /// [`BatchError::Malformed`].
    pub fn header<T: Record + for<'a> Deserialize<'a>>(&self) -> Result<T, BatchError> {
        let limits = self.limits.for_header();
        decode_one(&self.header, &limits)
            .map_err(|error| BatchError::read(&self.objects.header, error))
    }

    /// Returns the digest of the header file. The header contains the digest of the packets, so
    /// this digest identifies the whole batch.
    #[must_use]
    pub fn header_digest(&self) -> Digest {
        Digest::sha256(&self.header)
    }

    /// Returns the length of the header file in bytes.
    #[must_use]
    pub fn header_bytes(&self) -> u64 {
        self.header.len() as u64
    }

    /// Returns the packets of a batch of one object, with the digest from the header. For any other
    /// batch, the stream is empty.
    #[must_use]
    pub fn inline_packets(&self, digest: Digest) -> PacketStream {
        let packets = self.packets.clone().unwrap_or_default();
        let (bytes, object) = (packets.len() as u64, self.objects.packets.clone());
        PacketStream::new(
            Box::new(Cursor::new(packets)),
            bytes,
            object,
            digest,
            self.limits.clone(),
        )
    }

    /// Opens the packets, with the digest from the header. The stream is for blocking threads.
    ///
    /// # Errors
    /// [`BatchError::Incomplete`] if the object is absent although its digest is not that of an
    /// empty file; otherwise the error of the bucket, including [`BucketError::TooLarge`].
    pub async fn packets(
        &self,
        bucket: &dyn Bucket,
        digest: Digest,
    ) -> Result<PacketStream, BatchError> {
        let object = &self.objects.packets;
        let (input, bytes): (Box<dyn Read + Send>, u64) = match &self.packets {
            Some(packets) => (Box::new(Cursor::new(packets.clone())), packets.len() as u64),
            None => match bucket.get(object).await {
                Ok(found) if found.size > self.limits.object_bytes => {
                    return Err(BatchError::Bucket(BucketError::TooLarge {
                        key: object.clone(),
                        bucket: bucket.location(),
                        limit: self.limits.object_bytes,
                    }));
                }
                Ok(found) => {
                    let bytes = found.size;
                    (
                        Box::new(crate::BlockingReader::new(found, &Handle::current())),
                        bytes,
                    )
                }
                Err(BucketError::NotFound { .. }) if digest == Digest::empty() => {
                    (Box::new(io::empty()), 0)
                }
                Err(BucketError::NotFound { key, .. }) => {
                    return Err(BatchError::Incomplete { object: key });
                }
                Err(error) => return Err(error.into()),
            },
        };
        Ok(PacketStream::new(
            input,
            bytes,
            object.clone(),
            digest,
            self.limits.clone(),
        ))
    }
}

/// A signature and the identifier of its key.
type Signed = (Vec<u8>, String);

/// Returns the content of a signature object: the signature, and header and packets if they are
/// inline.
fn parts(
    file: &[u8],
    objects: &BatchObjects,
    limits: &FileLimits,
) -> Result<(Signed, Option<(Bytes, Bytes)>), BatchError> {
    let read = ReadSignature::parse(file, &limits.for_signature());
    let read = read.map_err(|error| BatchError::read(&objects.signature, error))?;
    let record = Bytes::from(read.record);
    let inline = read
        .inline
        .map(|(header, packets)| (record.slice(header), record.slice(packets)));
    Ok(((read.batch_header_signature, read.key_identifier), inline))
}

async fn fetch_header(
    bucket: &dyn Bucket,
    object: &str,
    limits: &FileLimits,
) -> Result<Bytes, BatchError> {
    match read_all(bucket, object, limits.for_header().object_bytes).await {
        Err(BucketError::NotFound { key, .. }) => Err(BatchError::Incomplete { object: key }),
        other => Ok(other?),
    }
}
