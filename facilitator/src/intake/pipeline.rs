//! Streams a batch through all cores: blocks are opened in parallel and written in their order.

use super::ProgressCallback;
use super::block::{BlockOpener, OpenedBlock};
use super::collector::Collector;
use super::header::Checked;
use super::points::BatchPoints;
use super::published::PublishedValidation;
use crate::cache::SMALL_FOOTER_BYTES;
use crate::error::Error;
use crate::processor::Processor;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use tallybox_model::avro::{AvroError, FileLimits};
use tallybox_model::path::BatchName;
use tallybox_transport::batch::PacketStream;
use tallybox_transport::{BlockingWriter, BucketError, Created, Upload};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Maximum size of the blocks that are being opened, in addition to one block.
const BYTES_AHEAD: u64 = 4 << 20;

/// The inputs of the intake of one batch.
pub(super) struct Pipeline {
    pub(super) processor: Arc<Processor>,
    pub(super) name: BatchName,
    pub(super) checked: Checked,
    pub(super) points: Arc<BatchPoints>,
    pub(super) published: Option<PublishedValidation>,
    pub(super) progress: ProgressCallback,
    pub(super) cancellation: CancellationToken,
}

/// An intake whose packet digest has been verified and that only has to be committed.
pub(super) struct Prepared {
    pub(super) upload: CopyingWriter<BlockingWriter>,
    pub(super) points: Arc<BatchPoints>,
}

impl Prepared {
    /// Creates the prepared batch. Returns whether this run created it, and its bytes if it is
    /// small enough for the cache.
    pub(super) async fn commit(self) -> Result<(bool, Option<Bytes>), Error> {
        let (upload, bytes) = self.upload.into_parts();
        let finish = tokio::task::spawn_blocking(|| upload.finish());
        let created = finish
            .await
            .map_err(|error| Error::Internal(error.to_string()))??;
        Ok((created == Created::New, bytes))
    }
}

/// A writer that keeps a copy of its output while the copy is small enough for the cache.
pub(super) struct CopyingWriter<W> {
    out: W,
    copy: Option<Vec<u8>>,
}

impl<W> CopyingWriter<W> {
    fn new(out: W) -> Self {
        let copy = Some(Vec::new());
        Self { out, copy }
    }

    fn into_parts(self) -> (W, Option<Bytes>) {
        (self.out, self.copy.map(Bytes::from))
    }
}

impl<W: Write> Write for CopyingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        match &mut self.copy {
            Some(copy) if copy.len() + written <= SMALL_FOOTER_BYTES => {
                copy.extend_from_slice(&bytes[..written])
            }
            copy => *copy = None,
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A block that is being opened.
struct Running {
    result: Receiver<Result<OpenedBlock, AvroError>>,
    bytes: u64,
}

impl Pipeline {
    /// Runs the intake until the packet digest is verified. Has to run on a blocking thread.
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
        let out = CopyingWriter::new(BlockingWriter::new(upload, runtime));
        let mut collector = Collector::new(&self, opener.clone(), out)?;
        let limits = packets.limits().clone();
        let mut running = VecDeque::new();
        let threads = self.processor.resources.pool.current_num_threads();
        while let Some(block) = packets.next_block()? {
            if self.cancellation.is_cancelled() {
                return Err(Error::Internal(format!(
                    "batch {}: the intake was cancelled",
                    self.name
                )));
            }
            let bytes = block.block.bytes.len() as u64;
            running.push_back(Running {
                result: self.start(&opener, block, &limits),
                bytes,
            });
            // Limits the blocks in memory, both in number and in size.
            while running.len() > 4 * threads || ahead(&running) {
                if let Err(error) = self.finish_next(&mut running, &mut collector) {
                    return Err(blame(error, packets));
                }
            }
        }
        while !running.is_empty() {
            if let Err(error) = self.finish_next(&mut running, &mut collector) {
                return Err(blame(error, packets));
            }
        }
        // Verifies the digest of the packet file before the footer is written.
        packets.finish()?;
        collector.finish(ingestion_bytes)
    }

    /// Sends a block to the threads that open packets.
    fn start(
        &self,
        opener: &BlockOpener,
        block: tallybox_transport::batch::PacketBlock,
        limits: &FileLimits,
    ) -> Receiver<Result<OpenedBlock, AvroError>> {
        let (sender, result) = sync_channel(1);
        let (opener, limits) = (opener.clone(), limits.clone());
        self.processor.resources.pool.spawn(move || {
            // The receiver is gone if the intake was cancelled.
            let _ = sender.send(opener.open(&block, &limits));
        });
        result
    }

    /// Waits for the oldest block and writes its packets.
    fn finish_next(
        &self,
        running: &mut VecDeque<Running>,
        collector: &mut Collector,
    ) -> Result<(), Failure> {
        let Some(oldest) = running.pop_front() else {
            return Ok(());
        };
        let lost = |_| {
            Failure::Other(Error::Internal(
                "a thread that opens packets stopped".to_owned(),
            ))
        };
        let block = oldest
            .result
            .recv()
            .map_err(lost)?
            .map_err(Failure::Record)?;
        (self.progress)(block.packets.len() as u64, block.bytes);
        collector
            .block(block)
            .map_err(|error| Failure::Other(own_bucket(error)))
    }
}

/// The cause for which a block cannot be processed.
enum Failure {
    /// A record is malformed; possibly the file differs from what was signed.
    Record(AvroError),
    /// Any other error.
    Other(Error),
}

fn blame(failure: Failure, packets: PacketStream) -> Error {
    match failure {
        Failure::Record(error) => packets.blame_record(error).into(),
        Failure::Other(error) => error,
    }
}

/// Returns whether the blocks that are being opened exceed the limit.
fn ahead(running: &VecDeque<Running>) -> bool {
    running.len() > 1 && running.iter().map(|block| block.bytes).sum::<u64>() > BYTES_AHEAD
}

/// Converts an error of the prepared batch's writer.
pub(super) fn own_bucket(error: io::Error) -> Error {
    match BucketError::recover(error) {
        Ok(error) => Error::Bucket(error),
        Err(error) => Error::Internal(error.to_string()),
    }
}
