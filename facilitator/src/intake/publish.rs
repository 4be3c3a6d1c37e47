//! Publishes the validation batch, byte for byte as the prepared batch fixes it.

use crate::buckets::Buckets;
use crate::config::ValidationForm;
use crate::error::Error;
use crate::keys::Keys;
use crate::limits::Limits;
use crate::prepared::{ChunkKind, FixedFile, PreparedReader};
use crate::processor::Processor;
use crate::published::has_published;
use crate::unconfirmed;
use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use tallybox_crypto::prio2::Message;
use tallybox_model::avro::{ContainerWriter, Record as _, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::header::{BatchParameters, ValidationHeader};
use tallybox_model::id::PacketId;
use tallybox_model::marker::sync_marker;
use tallybox_model::packet::ValidationPacket;
use tallybox_model::path::{BatchName, BatchPart, Unconfirmed};
use tallybox_transport::batch::{BatchError, signature_file};
use tallybox_transport::{BucketError, Published, publish_bytes, publish_stream};

/// The largest packet file, in bytes, that is written into a single signature object: readers
/// refuse records that are larger than a block.
const INLINE_BYTES: u64 = 32 << 20;

/// Returns the validation packet of a message.
pub(super) fn packet(id: PacketId, message: Message) -> ValidationPacket {
    let Message { f, g, h } = message;
    ValidationPacket {
        id,
        f_r: i64::from(f),
        g_r: i64::from(g),
        h_r: i64::from(h),
    }
}

/// Returns the header file of a validation batch.
pub(super) fn header_file(
    buckets: &Buckets,
    limits: &Limits,
    name: &BatchName,
    parameters: &BatchParameters,
    packets: &FixedFile,
) -> Result<Vec<u8>, Error> {
    let object = name.validation(buckets.role).header;
    let header = ValidationHeader::new(name.id, parameters.clone(), packets.sha256);
    let marker = sync_marker(limits.generation, &object, &[packets.sha256]);
    Ok(encode_one(&header, marker).map_err(|source| BatchError::Encode { object, source })?)
}

/// Publishes the validation batch that the prepared batch fixes. `fresh` is true if this run has
/// created the prepared batch; then its encoders are known to reproduce the bytes and are not tried
/// before the first write.
pub(super) async fn publish(
    processor: &Processor,
    name: &BatchName,
    prepared: &PreparedReader,
    fresh: bool,
) -> Result<(), Error> {
    let validation = &prepared.footer().validation;
    let (bucket, objects) = (
        &*processor.buckets.peer_validation_out,
        name.validation(processor.buckets.role),
    );
    // The peer already has exactly this header, so there is nothing to write.
    if !fresh
        && has_published(
            &processor.keys.own,
            bucket,
            &objects,
            validation.header.sha256,
        )
        .await?
    {
        return Ok(());
    }
    let header = header_file(
        &processor.buckets,
        &processor.limits,
        name,
        &prepared.footer().parameters,
        &validation.packets,
    )?;
    if !fresh && !reproduced(&processor.limits, prepared, &header).await? {
        let (ours, theirs) = (processor.limits.generation, validation.generation);
        return Err(Error::Generation {
            object: validation.header.object.clone(),
            ours,
            theirs,
        });
    }
    let put = match processor.limits.validation_form {
        ValidationForm::SingleObject if validation.packets.bytes <= INLINE_BYTES => {
            single_object(processor, name, prepared, header).await?
        }
        ValidationForm::SingleObject | ValidationForm::ThreeObjects => {
            three_objects(processor, name, prepared, header).await?
        }
    };
    let put: Vec<_> = put
        .into_iter()
        .map(|(part, published)| (Unconfirmed::Validation(name.clone(), part), published))
        .collect();
    unconfirmed::note(&processor.buckets, &put, !fresh).await
}

/// The result of the write of each object of a validation batch.
type WriteResults = Vec<(BatchPart, Published)>;

/// Returns whether this program's encoders reproduce the recorded bytes.
async fn reproduced(
    limits: &Limits,
    prepared: &PreparedReader,
    header: &[u8],
) -> Result<bool, Error> {
    let fixed = &prepared.footer().validation;
    let mut hash = Sha256::new();
    let stream = validation_stream(limits.generation, prepared);
    let mut stream = std::pin::pin!(stream);
    while let Some(part) = stream.try_next().await? {
        hash.update(&part);
    }
    let packets: [u8; 32] = hash.finalize().into();
    Ok(packets == fixed.packets.sha256.0 && Digest::sha256(header) == fixed.header.sha256)
}

async fn three_objects(
    processor: &Processor,
    name: &BatchName,
    prepared: &PreparedReader,
    header: Vec<u8>,
) -> Result<WriteResults, Error> {
    let bucket = &*processor.buckets.peer_validation_out;
    let objects = name.validation(processor.buckets.role);
    let packets = &prepared.footer().validation.packets;
    let packets = if packets.bytes > 0 {
        let stream = validation_stream(processor.limits.generation, prepared);
        publish_stream(
            bucket,
            &objects.packets,
            &packets.sha256.0,
            packets.bytes,
            true,
            stream,
        )
        .await?
    } else {
        publish_bytes(bucket, &objects.packets, Bytes::new(), true).await?
    };
    let file = sign(
        &processor.keys,
        &processor.limits,
        &objects.signature,
        &header,
        None,
    )?;
    let header = publish_bytes(bucket, &objects.header, header.into(), true).await?;
    // The signature is written last, because readers find a batch by its signature.
    let signature = publish_bytes(bucket, &objects.signature, file.into(), true).await?;
    Ok(BatchPart::ALL
        .into_iter()
        .zip([packets, header, signature])
        .collect())
}

async fn single_object(
    processor: &Processor,
    name: &BatchName,
    prepared: &PreparedReader,
    header: Vec<u8>,
) -> Result<WriteResults, Error> {
    let stream = validation_stream(processor.limits.generation, prepared);
    let packets: BytesMut = stream.try_fold(BytesMut::new(), append).await?;
    let object = name.validation(processor.buckets.role).signature;
    let signature = sign(
        &processor.keys,
        &processor.limits,
        &object,
        &header,
        Some(packets.to_vec()),
    )?;
    let bucket = &*processor.buckets.peer_validation_out;
    let published = publish_bytes(bucket, &object, signature.into(), true).await?;
    Ok(vec![(BatchPart::Signature, published)])
}

async fn append(mut all: BytesMut, part: Bytes) -> Result<BytesMut, BucketError> {
    all.extend_from_slice(&part);
    Ok(all)
}

fn sign(
    keys: &Keys,
    limits: &Limits,
    object: &str,
    header: &[u8],
    packets: Option<Vec<u8>>,
) -> Result<Vec<u8>, Error> {
    let key = (keys.signing_id.as_str(), &keys.signing);
    Ok(signature_file(
        object,
        limits.generation,
        header,
        packets,
        key,
    )?)
}

/// Returns the validation packet file, encoded from the prepared batch one chunk at a time.
fn validation_stream(
    generation: u32,
    prepared: &PreparedReader,
) -> impl Stream<Item = Result<Bytes, BucketError>> + Send + '_ {
    let object = &prepared.footer().validation.packets.object;
    let marker = sync_marker(generation, object, &[prepared.ingestion_header()]);
    let writer = ContainerWriter::new(Vec::new(), ValidationPacket::KIND, marker);
    let chunks = prepared.chunks(ChunkKind::Messages).into_iter();
    futures::stream::try_unfold(
        (chunks, Some(writer)),
        move |(mut chunks, writer)| async move {
            let Some(mut writer) = writer else {
                return Ok(None);
            };
            let Some(chunk) = chunks.next() else {
                let rest = writer
                    .finish()
                    .map_err(|error| encoding(object, &error.to_string()))?;
                return Ok(Some((Bytes::from(rest), (chunks, None))));
            };
            let messages = prepared
                .messages(chunk)
                .await
                .map_err(|error| encoding(object, &error.to_string()))?;
            for message in messages {
                let packet = packet(message.id, message.message);
                writer
                    .append(&packet)
                    .map_err(|error| encoding(object, &error.to_string()))?;
            }
            let bytes = Bytes::from(std::mem::take(writer.get_mut()));
            Ok(Some((bytes, (chunks, Some(writer)))))
        },
    )
}

fn encoding(object: &str, problem: &str) -> BucketError {
    let (key, bucket, source) = (
        object.to_owned(),
        "own bucket".to_owned(),
        problem.to_owned().into(),
    );
    BucketError::Unavailable {
        key,
        bucket,
        source,
    }
}
