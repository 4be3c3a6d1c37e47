//! Processes opened blocks in the order of the file: finds repeated packets, pins points, and
//! writes the records of each packet.

use super::block::{BlockOpener, OpenedBlock, PacketOutcome};
use super::header::Checked;
use super::pipeline::{CopyingWriter, Pipeline, Prepared, own_bucket};
use super::publish;
use super::published::PublishedValidation;
use crate::buckets::Buckets;
use crate::error::Error;
use crate::ids::IdSet;
use crate::limits::Limits;
use crate::prepared::{FixedFile, FixedValidation, Footer, Owner, PreparedWriter};
use crate::processor::Processor;
use crate::reason::{PacketReason, Rejections};
use std::io;
use std::sync::Arc;
use tallybox_crypto::prio2::{Message, Sum};
use tallybox_model::avro::{ContainerWriter, Record as _};
use tallybox_model::digest::HashingWriter;
use tallybox_model::id::PacketId;
use tallybox_model::marker::sync_marker;
use tallybox_model::packet::ValidationPacket;
use tallybox_model::path::BatchName;
use tallybox_transport::BlockingWriter;
use zeroize::Zeroizing;

/// A share that is not in the block's buffer.
type OwnShare = Zeroizing<Vec<u8>>;

/// Processes opened blocks in the order of the file.
pub(super) struct Collector {
    processor: Arc<Processor>,
    name: BatchName,
    checked: Checked,
    opener: BlockOpener,
    published: Option<PublishedValidation>,
    prepared: PreparedWriter<CopyingWriter<BlockingWriter>>,
    validation: ContainerWriter<HashingWriter<io::Sink>>,
    ids: IdSet,
    ciphertexts: IdSet,
    sum: Sum,
    rejections: Rejections,
    packets: u64,
    messages: u64,
    opened: u64,
    names_our_key: bool,
}

impl Collector {
    pub(super) fn new(
        pipeline: &Pipeline,
        opener: BlockOpener,
        out: CopyingWriter<BlockingWriter>,
    ) -> Result<Self, Error> {
        let Pipeline {
            processor,
            name,
            checked,
            ..
        } = pipeline;
        let owner = Owner {
            instance: &processor.buckets.instance,
            role: processor.buckets.role,
        };
        let sealing = &processor.keys.sealing[0];
        let prepared =
            PreparedWriter::new(out, owner, sealing, name, checked.digest).map_err(own_bucket)?;
        let object = name.validation(processor.buckets.role).packets;
        let marker = sync_marker(processor.limits.generation, &object, &[checked.digest]);
        let out = HashingWriter::new(io::sink());
        Ok(Self {
            processor: Arc::clone(processor),
            name: name.clone(),
            checked: checked.clone(),
            prepared,
            validation: ContainerWriter::new(out, ValidationPacket::KIND, marker),
            ids: IdSet::default(),
            ciphertexts: IdSet::default(),
            sum: Sum::new(checked.prio2.bins()),
            rejections: Rejections::default(),
            packets: 0,
            messages: 0,
            opened: 0,
            names_our_key: false,
            opener,
            published: pipeline.published.clone(),
        })
    }

    pub(super) fn block(&mut self, block: OpenedBlock) -> io::Result<()> {
        // The sum of the block contains the shares of all messages; `reject` subtracts those that
        // do not count.
        self.sum.merge(&block.sum);
        self.opened += block.opened;
        self.names_our_key |= block.names_our_key;
        let mut shares = block.shares.chunks_exact(self.opener.share_bytes());
        for packet in block.packets {
            self.packets += 1;
            let Some(id) = packet.id else {
                self.rejections.add(PacketReason::BadUuid);
                continue;
            };
            // The block contains a share for each message, also for a message that is not used.
            let share = matches!(packet.outcome, PacketOutcome::Message(_))
                .then(|| shares.next())
                .flatten();
            let message = match self.repeated(id, packet.ciphertext) {
                Some(reason) => Err(reason),
                None => self.message(packet.outcome),
            };
            match message {
                Err(reason) => self.reject(id, reason, share)?,
                Ok((message, own)) => {
                    let share = own.as_ref().map(|own| own.as_slice()).or(share);
                    let share = share.ok_or_else(|| io::Error::other("message without a share"))?;
                    if self
                        .published
                        .as_ref()
                        .is_none_or(|published| published.has(id, message))
                    {
                        self.write(id, message, share)?;
                    } else {
                        self.reject(id, PacketReason::NotPublished, Some(share))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the reason if the packet repeats an earlier one of the batch: by its identifier or,
    /// with a point for each packet, by its ciphertext.
    fn repeated(&mut self, id: PacketId, ciphertext: Option<[u8; 16]>) -> Option<PacketReason> {
        if !self.ids.insert(*id.as_bytes()) {
            return Some(PacketReason::DuplicateUuid);
        }
        let new = ciphertext.is_none_or(|ciphertext| self.ciphertexts.insert(ciphertext));
        (!new).then_some(PacketReason::DuplicateCiphertext)
    }

    /// Returns the message, and the share if it is not in the block's buffer.
    fn message(
        &mut self,
        outcome: PacketOutcome,
    ) -> Result<(Message, Option<OwnShare>), PacketReason> {
        match outcome {
            PacketOutcome::Message(message) => Ok((message, None)),
            PacketOutcome::Rejected(reason) => Err(reason),
            PacketOutcome::Unpinned {
                key,
                point,
                plaintext,
            } => {
                let points = &self.opener.points;
                let evaluator = match points.evaluator(key, point, &self.checked.prio2)? {
                    Some(evaluator) => evaluator,
                    None => points.pin(key, point, &self.checked.prio2),
                };
                let message = self
                    .opener
                    .evaluate(&plaintext, &evaluator, &mut self.sum)?;
                let share = plaintext[..self.opener.share_bytes()].to_vec();
                Ok((message, Some(Zeroizing::new(share))))
            }
        }
    }

    fn write(&mut self, id: PacketId, message: Message, share: &[u8]) -> io::Result<()> {
        self.messages += 1;
        self.prepared.message(id, message, share)?;
        self.validation
            .append(&publish::packet(id, message))
            .map_err(io::Error::other)
    }

    /// Rejects the packet, and subtracts its share if the block's sum contains it.
    fn reject(
        &mut self,
        id: PacketId,
        reason: PacketReason,
        share: Option<&[u8]>,
    ) -> io::Result<()> {
        if let Some(share) = share {
            let mut elements = Zeroizing::new(Vec::new());
            let role = self.processor.buckets.role.index();
            let decoded = self.checked.prio2.decode_data(role, share, &mut elements);
            decoded.map_err(|_| io::Error::other("share in the sum does not decode"))?;
            self.sum.subtract(&elements);
        }
        self.rejections.add(reason);
        if reason.is_duplicate() {
            Ok(())
        } else {
            self.prepared.reject(id, reason)
        }
    }

    /// Refuses a batch whose packets nearly all fail for reasons that a wrong key of this processor
    /// explains. The fault is then more likely here than at the ingestor, and a published
    /// validation batch without those packets could not be withdrawn.
    fn check_keys(&self) -> Result<(), Error> {
        let rule = self.processor.limits.wrong_key;
        let reasons = self
            .rejections
            .iter()
            .filter(|(reason, _)| reason.may_be_a_wrong_key());
        let reasons: Vec<_> = reasons.collect();
        let failed: u64 = reasons.iter().map(|(_, count)| count).sum();
        let different = self.packets - self.rejections.duplicates();
        // 95 % of the packets that are not duplicates.
        let nearly_all = failed > 0 && failed * 20 >= different * 19;
        if rule.accept || self.packets < rule.packets || !nearly_all {
            return Ok(());
        }
        let reasons: Vec<String> = reasons
            .iter()
            .map(|(reason, count)| format!("{count} {}", reason.name()))
            .collect();
        Err(Error::WrongKey {
            batch: self.name.clone(),
            failed,
            packets: self.packets,
            reasons: reasons.join(", "),
        })
    }

    /// Checks that the batch can be processed, and writes the footer.
    pub(super) fn finish(self, ingestion_bytes: u64) -> Result<Prepared, Error> {
        if self.packets == 0 {
            return Err(Error::EmptyBatch { batch: self.name });
        }
        let undecryptable = self.rejections.count(PacketReason::Undecryptable) > 0;
        // Possibly all packets are sealed to a key that this processor does not have yet.
        if self.opened == 0 && undecryptable && !self.names_our_key {
            return Err(Error::NoKey { batch: self.name });
        }
        self.check_keys()?;
        let validation = match self.published {
            Some(published) => published.fixed,
            None => fix(
                &self.processor.buckets,
                &self.processor.limits,
                &self.name,
                &self.checked,
                self.validation,
            )?,
        };
        let footer = |chunks| Footer {
            batch: self.name.clone(),
            parameters: self.checked.parameters.clone(),
            packets: self.packets,
            messages: self.messages,
            rejections: self.rejections.clone(),
            ingestion_bytes,
            validation,
            keys: self
                .opener
                .points
                .uses(&self.processor.keys, &self.processor.buckets),
            chunks,
        };
        let upload = self
            .prepared
            .finish(self.sum.values(), footer)
            .map_err(own_bucket)?;
        Ok(Prepared {
            upload,
            points: Arc::clone(&self.opener.points),
        })
    }
}

/// Returns the validation batch to be published: the encoded packets and a header over them.
fn fix(
    buckets: &Buckets,
    limits: &Limits,
    name: &BatchName,
    checked: &Checked,
    packets: ContainerWriter<HashingWriter<io::Sink>>,
) -> Result<FixedValidation, Error> {
    let packets = packets
        .finish()
        .map_err(|error| Error::Internal(error.to_string()))?;
    let (_, sha256, bytes) = packets.finish();
    let objects = name.validation(buckets.role);
    let packets = FixedFile {
        object: objects.packets,
        bytes,
        sha256,
    };
    let header = publish::header_file(buckets, limits, name, &checked.parameters, &packets)?;
    let header = FixedFile::parse(&objects.header, &header);
    Ok(FixedValidation {
        generation: limits.generation,
        packets,
        header,
    })
}
