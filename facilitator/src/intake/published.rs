//! The validation batch that this processor published earlier, for the case that its own record is
//! lost.
//!
//! The prepared batch can be computed again, but only with the packets of the published validation
//! batch. With any others the two processors would count different packets.

use crate::error::Error;
use crate::prepared::{FixedFile, FixedValidation};
use crate::processor::Processor;
use std::collections::HashMap;
use std::sync::Arc;
use tallybox_crypto::prio2::Message;
use tallybox_model::header::ValidationHeader;
use tallybox_model::id::PacketId;
use tallybox_model::packet::ValidationPacket;
use tallybox_model::path::BatchName;
use tallybox_transport::BucketError;
use tallybox_transport::batch::{BatchError, PacketStream, SignedBatch};

/// A validation batch of this processor in the peer's mailbox.
#[derive(Clone, Debug)]
pub(super) struct PublishedValidation {
    /// The sizes and digests of its objects.
    pub(super) fixed: FixedValidation,
    messages: Arc<HashMap<PacketId, Message>>,
}

impl PublishedValidation {
    /// Reads the validation batch. Returns `None` if there is none, if the mailbox denies read
    /// access, or if the objects are not from this processor; in the last case the attempt to
    /// publish finds the conflict.
    pub(super) async fn find(
        processor: &Processor,
        name: &BatchName,
    ) -> Result<Option<Self>, Error> {
        match Self::read(processor, name).await {
            // A single bad read is not evidence about the batch.
            Err(error) if error.is_damage() => Self::read(processor, name).await,
            other => other,
        }
    }

    async fn read(processor: &Processor, name: &BatchName) -> Result<Option<Self>, Error> {
        let objects = name.validation(processor.buckets.role);
        let bucket = &*processor.buckets.peer_validation_out;
        let batch = match SignedBatch::open(
            bucket,
            objects.clone(),
            &processor.keys.own,
            &processor.limits.files,
        )
        .await
        {
            Ok(batch) => batch,
            Err(BatchError::Bucket(BucketError::PermissionDenied { .. })) => return Ok(None),
            Err(BatchError::Bucket(error)) => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        let header: ValidationHeader = batch.header()?;
        let packets = batch.packets(bucket, header.packet_file_digest).await?;
        let (bytes, sha256) = (packets.bytes(), header.packet_file_digest);
        let fixed = FixedValidation {
            generation: processor.limits.generation,
            packets: FixedFile {
                object: objects.packets,
                bytes,
                sha256,
            },
            header: FixedFile {
                object: objects.header,
                bytes: batch.header_bytes(),
                sha256: batch.header_digest(),
            },
        };
        let reading = tokio::task::spawn_blocking(move || messages_of(packets));
        let messages = reading
            .await
            .map_err(|error| Error::Internal(error.to_string()))??;
        Ok(Some(Self {
            fixed,
            messages: Arc::new(messages),
        }))
    }

    /// Returns whether exactly this message was published.
    pub(super) fn has(&self, id: PacketId, message: Message) -> bool {
        self.messages.get(&id) == Some(&message)
    }
}

fn messages_of(mut packets: PacketStream) -> Result<HashMap<PacketId, Message>, BatchError> {
    let mut messages = HashMap::new();
    let limits = packets.limits().clone();
    while let Some(block) = packets.next_block()? {
        for packet in block.records::<ValidationPacket>(&limits) {
            let packet = match packet {
                Ok(packet) => packet,
                Err(error) => return Err(packets.blame_record(error)),
            };
            // A packet that is not a message of field elements matches none of ours.
            if let Ok(message) = Message::new(packet.f_r, packet.g_r, packet.h_r) {
                messages.entry(packet.id).or_insert(message);
            }
        }
    }
    packets.finish()?;
    Ok(messages)
}
