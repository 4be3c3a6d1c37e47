//! A writer of signed batches. Its order of objects (packets, header, signature) makes a batch
//! exist only when it is complete.

use super::BatchError;
use crate::BlockingWriter;
use crate::bucket::{Bucket, Created, SharedBucket};
use crate::error::BucketError;
use crate::publish::{digest, publish_bytes};
use serde::Serialize;
use tallybox_crypto::keys::SigningKey;
use tallybox_model::avro::{AvroError, ContainerWriter, Record, encode_one};
use tallybox_model::digest::{Digest, HashingWriter};
use tallybox_model::marker::sync_marker;
use tallybox_model::path::BatchObjects;
use tallybox_model::signature::BatchSignature;
use tokio::runtime::Handle;

/// The result of writing a batch: the digests of packets and header, and the length of the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// SHA-256 of the packet file.
    pub packets: Digest,
    /// Length of the packet file in bytes.
    pub packet_bytes: u64,
    /// SHA-256 of the header file.
    pub header: Digest,
}

/// A writer that streams the packets of one batch in bounded memory and then writes header and
/// signature.
///
/// All bytes are derived from the object names, the digests of the inputs and the records, so a
/// repeated run writes the same bytes. The writer accepts existing objects with the same bytes, and
/// stops with a conflict at other bytes. All methods except [`create`](Self::create) block the
/// thread.
pub struct BatchWriter {
    bucket: SharedBucket,
    objects: BatchObjects,
    generation: u32,
    inputs: Vec<Digest>,
    handle: Handle,
    packets: ContainerWriter<HashingWriter<BlockingWriter>>,
}

impl BatchWriter {
    /// Starts a batch of packets of type `P`. `inputs` are the digests of the inputs that determine
    /// the content. Together with the encoder `generation`, they determine the sync markers.
    ///
    /// # Errors
    /// The errors of the bucket.
    pub async fn create<P: Record>(
        bucket: SharedBucket,
        objects: BatchObjects,
        generation: u32,
        inputs: Vec<Digest>,
    ) -> Result<Self, BatchError> {
        let upload = bucket.create(&objects.packets, None).await?;
        let handle = Handle::current();
        let out = HashingWriter::new(BlockingWriter::new(upload, &handle));
        let packets = ContainerWriter::new(
            out,
            P::KIND,
            sync_marker(generation, &objects.packets, &inputs),
        );
        Ok(Self {
            bucket,
            objects,
            generation,
            inputs,
            handle,
            packets,
        })
    }

    /// Appends a packet. For blocking threads.
    ///
    /// # Errors
    /// [`BatchError::Encode`], or the error of the bucket.
    pub fn append<P: Record + Serialize>(&mut self, packet: &P) -> Result<(), BatchError> {
        self.packets
            .append(packet)
            .map_err(|error| BatchError::read(&self.objects.packets, error))
    }

    /// Completes the packets, then writes the header that `header` creates for their digest, then
    /// the signature. For blocking threads.
    ///
    /// # Errors
    /// [`BatchError::Bucket`] with a conflict if an object exists with other bytes, or with another
    /// error of the bucket.
    pub fn finish<H: Record + Serialize>(
        self,
        header: impl FnOnce(Digest) -> H,
        key: (&str, &SigningKey),
    ) -> Result<Written, BatchError> {
        let Self {
            bucket,
            objects,
            generation,
            mut inputs,
            handle,
            packets,
        } = self;
        let bad = |object: &str, source: AvroError| BatchError::Encode {
            object: object.to_owned(),
            source,
        };
        let out = packets
            .finish()
            .map_err(|error| BatchError::read(&objects.packets, error))?;
        let (out, packets, packet_bytes) = out.finish();
        // ENPA's writers leave no object for an empty packet file.
        if packet_bytes == 0 && !bucket.stores_empty_objects() {
            drop(out);
        } else if out.finish()? == Created::Exists {
            handle.block_on(check_same(&*bucket, &objects.packets, packets))?;
        }
        inputs.push(packets);
        let marker = sync_marker(generation, &objects.header, &inputs);
        let file =
            encode_one(&header(packets), marker).map_err(|error| bad(&objects.header, error))?;
        let signature = signature_file(&objects.signature, generation, &file, None, key)?;
        let written = Written {
            packets,
            packet_bytes,
            header: Digest::sha256(&file),
        };
        handle.block_on(async {
            // The signature is last, because the batch exists as soon as its signature does.
            publish_bytes(&*bucket, &objects.header, file.into(), false).await?;
            publish_bytes(&*bucket, &objects.signature, signature.into(), false).await
        })?;
        Ok(written)
    }
}

/// Creates the signature object for a header file. If `packets` are given, the object contains
/// header and packets.
///
/// # Errors
/// [`BatchError::Encode`].
pub fn signature_file(
    object: &str,
    generation: u32,
    header: &[u8],
    packets: Option<Vec<u8>>,
    (key_id, key): (&str, &SigningKey),
) -> Result<Vec<u8>, BatchError> {
    let record = BatchSignature {
        batch_header_signature: key.sign(header),
        key_identifier: key_id.to_owned(),
        batch_header: packets.as_ref().map(|_| header.to_vec()),
        packets,
    };
    let marker = sync_marker(generation, object, &[Digest::sha256(header)]);
    encode_one(&record, marker).map_err(|source| BatchError::Encode {
        object: object.to_owned(),
        source,
    })
}

async fn check_same(bucket: &dyn Bucket, key: &str, ours: Digest) -> Result<(), BucketError> {
    let (theirs, _) = digest(bucket, key).await?;
    if theirs != ours.0 {
        let (key, bucket) = (key.to_owned(), bucket.location());
        return Err(BucketError::Conflict {
            key,
            bucket,
            ours: ours.0,
            theirs,
        });
    }
    Ok(())
}
