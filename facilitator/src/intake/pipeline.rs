//! Streams a batch through the cores: blocks go out to be opened, and come back in order to be written.

use super::block::{BlockOpener, OpenedBlock, Verdict};
use super::header::Checked;
use super::points::PointBook;
use super::published::PublishedValidation;
use super::{Progress, publish};
use crate::error::Error;
use crate::ids::IdSet;
use crate::prepared::{FixedObject, FixedValidation, Footer, Owner, PreparedWriter};
use crate::processor::Processor;
use crate::reason::{PacketReason, Rejections};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use tallybox_crypto::prio2::{Message, Sum};
use tallybox_model::avro::{AvroError, ContainerWriter, Limits, Record as _, encode_one};
use tallybox_model::digest::HashingWriter;
use tallybox_model::header::ValidationHeader;
use tallybox_model::id::PacketId;
use tallybox_model::marker::sync_marker;
use tallybox_model::packet::ValidationPacket;
use tallybox_model::path::BatchName;
use tallybox_transport::batch::{BatchError, PacketStream};
use tallybox_transport::{BlockingWriter, BucketError, Created, Upload};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

/// Bytes of blocks that are out to be opened at a time, beside a block a thread.
const BYTES_AHEAD: u64 = 4 << 20;

/// The intake of one batch.
pub(super) struct Pipeline {
    pub(super) processor: Arc<Processor>,
    pub(super) name: BatchName,
    pub(super) checked: Checked,
    pub(super) points: Arc<PointBook>,
    pub(super) published: Option<PublishedValidation>,
    pub(super) progress: Progress,
}

/// An intake whose digest has been verified: all that is left is to commit it.
pub(super) struct Prepared {
    upload: BlockingWriter,
    pub(super) points: Arc<PointBook>,
}

impl Prepared {
    /// Makes the prepared batch exist; the answer says whether it is ours and not another run's.
    pub(super) async fn commit(self) -> Result<bool, Error> {
        let finish = tokio::task::spawn_blocking(|| self.upload.finish());
        let created = finish.await.map_err(|error| Error::Internal(error.to_string()))??;
        Ok(created == Created::New)
    }
}

/// A block that is being opened.
struct Running {
    result: Receiver<Result<OpenedBlock, AvroError>>,
    bytes: u64,
}

impl Pipeline {
    /// Runs to the verdict on the digest; for a blocking thread.
    pub(super) fn run(
        self,
        mut packets: PacketStream,
        upload: Box<dyn Upload>,
        runtime: &Handle,
    ) -> Result<Prepared, Error> {
        let opener = BlockOpener {
            processor: Arc::clone(&self.processor),
            prio2: self.checked.prio2.clone(),
            points: Arc::clone(&self.points),
        };
        let ingestion_bytes = packets.bytes();
        let out = BlockingWriter::new(upload, runtime);
        let mut collector = Collector::new(&self, opener.clone(), out)?;
        let limits = packets.limits().clone();
        let mut running = VecDeque::new();
        let threads = self.processor.pool.current_num_threads();
        while let Some(block) = packets.next_block()? {
            let bytes = block.block.bytes.len() as u64;
            running.push_back(Running {
                result: self.start(&opener, block, &limits),
                bytes,
            });
            while running.len() > 4 * threads || ahead(&running) {
                if let Err(error) = self.take(&mut running, &mut collector) {
                    return Err(blame(error, packets));
                }
            }
        }
        while !running.is_empty() {
            if let Err(error) = self.take(&mut running, &mut collector) {
                return Err(blame(error, packets));
            }
        }
        packets.finish()?;
        collector.finish(ingestion_bytes)
    }

    /// Sends a block to be opened.
    fn start(
        &self,
        opener: &BlockOpener,
        block: tallybox_transport::batch::PacketBlock,
        limits: &Limits,
    ) -> Receiver<Result<OpenedBlock, AvroError>> {
        let (sender, result) = sync_channel(1);
        let (opener, limits) = (opener.clone(), limits.clone());
        self.processor.pool.spawn(move || {
            // Nobody listens any more if the batch was given up.
            let _ = sender.send(opener.open(&block, &limits));
        });
        result
    }

    /// Waits for the oldest block and writes it.
    fn take(&self, running: &mut VecDeque<Running>, collector: &mut Collector) -> Result<(), Failure> {
        let Some(oldest) = running.pop_front() else {
            return Ok(());
        };
        let lost = |_| Failure::Other(Error::Internal("a thread that opens packets stopped".to_owned()));
        let block = oldest.result.recv().map_err(lost)?.map_err(Failure::Record)?;
        (self.progress)(block.packets.len() as u64, block.bytes);
        collector
            .block(block)
            .map_err(|error| Failure::Other(own_bucket(error)))
    }
}

/// Why a block cannot be taken.
enum Failure {
    /// A record is malformed: perhaps the file is not what was signed.
    Record(AvroError),
    /// Anything else.
    Other(Error),
}

fn blame(failure: Failure, packets: PacketStream) -> Error {
    match failure {
        Failure::Record(error) => packets.blame_record(error).into(),
        Failure::Other(error) => error,
    }
}

/// Whether enough bytes are out.
fn ahead(running: &VecDeque<Running>) -> bool {
    running.len() > 1 && running.iter().map(|block| block.bytes).sum::<u64>() > BYTES_AHEAD
}

/// An error of the writer of the prepared batch.
fn own_bucket(error: io::Error) -> Error {
    match BucketError::recover(error) {
        Ok(error) => Error::Bucket(error),
        Err(error) => Error::Internal(error.to_string()),
    }
}

/// A share that stands in no block.
type OwnShare = Zeroizing<Vec<u8>>;

/// Takes opened blocks in the order of the file.
struct Collector {
    processor: Arc<Processor>,
    name: BatchName,
    checked: Checked,
    opener: BlockOpener,
    published: Option<PublishedValidation>,
    prepared: PreparedWriter<BlockingWriter>,
    validation: ContainerWriter<HashingWriter<io::Sink>>,
    seen: IdSet,
    seen_ciphertexts: IdSet,
    sum: Sum,
    rejections: Rejections,
    packets: u64,
    messages: u64,
    opened: u64,
    names_our_key: bool,
}

impl Collector {
    fn new(pipeline: &Pipeline, opener: BlockOpener, out: BlockingWriter) -> Result<Self, Error> {
        let Pipeline {
            processor,
            name,
            checked,
            ..
        } = pipeline;
        let owner = Owner {
            instance: &processor.instance,
            role: processor.role,
        };
        let sealing = &processor.sealing_keys[0];
        let prepared = PreparedWriter::new(out, owner, sealing, name, checked.digest).map_err(own_bucket)?;
        let object = name.validation(processor.role).packets;
        let marker = sync_marker(processor.generation, &object, &[checked.digest]);
        let out = HashingWriter::new(io::sink());
        Ok(Self {
            processor: Arc::clone(processor),
            name: name.clone(),
            checked: checked.clone(),
            prepared,
            validation: ContainerWriter::new(out, ValidationPacket::KIND, marker),
            seen: IdSet::default(),
            seen_ciphertexts: IdSet::default(),
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

    fn block(&mut self, block: OpenedBlock) -> io::Result<()> {
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
            // A share stands in the block for each message, also for one that is not used.
            let share = matches!(packet.verdict, Verdict::Message(_))
                .then(|| shares.next())
                .flatten();
            let verdict = match self.repeated(id, packet.ciphertext) {
                Some(reason) => Err(reason),
                None => self.verdict(packet.verdict),
            };
            match verdict {
                Err(reason) => self.reject(id, reason, share)?,
                Ok((message, own)) => {
                    let share = own.as_ref().map(|own| own.as_slice()).or(share);
                    let share = share.ok_or_else(|| io::Error::other("a message without a share"))?;
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

    /// Whether the packet stands earlier in the batch: by its identifier, or with a point a packet by its ciphertext.
    fn repeated(&mut self, id: PacketId, ciphertext: Option<[u8; 16]>) -> Option<PacketReason> {
        if !self.seen.insert(*id.as_bytes()) {
            return Some(PacketReason::DuplicateUuid);
        }
        let new = ciphertext.is_none_or(|ciphertext| self.seen_ciphertexts.insert(ciphertext));
        (!new).then_some(PacketReason::DuplicateCiphertext)
    }

    /// The message, and the share if the block does not hold it.
    fn verdict(&mut self, verdict: Verdict) -> Result<(Message, Option<OwnShare>), PacketReason> {
        match verdict {
            Verdict::Message(message) => Ok((message, None)),
            Verdict::Rejected(reason) => Err(reason),
            Verdict::Unpinned { key, point, plaintext } => {
                let points = &self.opener.points;
                let evaluator = match points.evaluator(key, point, &self.checked.prio2)? {
                    Some(evaluator) => evaluator,
                    None => points.pin(key, point, &self.checked.prio2),
                };
                let message = self.opener.evaluate(&plaintext, &evaluator, &mut self.sum)?;
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

    /// Leaves the packet out; a share that its block has added is taken away again.
    fn reject(&mut self, id: PacketId, reason: PacketReason, share: Option<&[u8]>) -> io::Result<()> {
        if let Some(share) = share {
            let mut elements = Zeroizing::new(Vec::new());
            let role = self.processor.role.index();
            let decoded = self.checked.prio2.decode_data(role, share, &mut elements);
            decoded.map_err(|_| io::Error::other("a share that was added does not decode"))?;
            self.sum.subtract(&elements);
        }
        self.rejections.add(reason);
        if reason.is_duplicate() {
            Ok(())
        } else {
            self.prepared.reject(id, reason)
        }
    }

    /// Checks that there was anything to take in, and writes the footer.
    fn finish(self, ingestion_bytes: u64) -> Result<Prepared, Error> {
        if self.packets == 0 {
            return Err(Error::EmptyBatch { batch: self.name });
        }
        let undecryptable = self.rejections.count(PacketReason::Undecryptable) > 0;
        if self.opened == 0 && undecryptable && !self.names_our_key {
            return Err(Error::NoKey { batch: self.name });
        }
        let validation = match self.published {
            Some(published) => published.fixed,
            None => fix(&self.processor, &self.name, &self.checked, self.validation)?,
        };
        let footer = |chunks| Footer {
            batch: self.name.clone(),
            parameters: self.checked.parameters.clone(),
            packets: self.packets,
            messages: self.messages,
            rejections: self.rejections.clone(),
            ingestion_bytes,
            validation,
            chunks,
        };
        let upload = self.prepared.finish(self.sum.values(), footer).map_err(own_bucket)?;
        Ok(Prepared {
            upload,
            points: Arc::clone(&self.opener.points),
        })
    }
}

/// What will be published: the packets that were encoded, and a header over them.
fn fix(
    processor: &Processor,
    name: &BatchName,
    checked: &Checked,
    packets: ContainerWriter<HashingWriter<io::Sink>>,
) -> Result<FixedValidation, Error> {
    let packets = packets.finish().map_err(|error| Error::Internal(error.to_string()))?;
    let (_, sha256, bytes) = packets.finish();
    let objects = name.validation(processor.role);
    let packets = FixedObject {
        object: objects.packets,
        bytes,
        sha256,
    };
    let header = publish::header_file(processor, name, &checked.parameters, &packets)?;
    let header = publish::fixed(objects.header, &header);
    Ok(FixedValidation {
        generation: processor.generation,
        packets,
        header,
    })
}

/// The file of a validation header.
pub(super) fn encode_header(header: &ValidationHeader, marker: [u8; 16]) -> Result<Vec<u8>, BatchError> {
    encode_one(header, marker).map_err(|source| BatchError::Encode {
        object: "validation header".to_owned(),
        source,
    })
}
