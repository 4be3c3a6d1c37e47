//! The packets of a signed batch as a stream whose end verifies their digest.

use super::BatchError;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use tallybox_model::avro::{Block, ContainerReader, FileLimits, RecordReader, WriterSchema};
use tallybox_model::digest::{Digest, HashingReader};

type Input = HashingReader<BufReader<Box<dyn Read + Send>>>;

/// A block of packets, with the schema to decode them.
#[derive(Debug)]
pub struct PacketBlock {
    /// The records.
    pub block: Block,
    schema: Arc<WriterSchema>,
}

impl PacketBlock {
    /// Returns the block's records of type `T`, which may borrow from the block.
    pub fn records<'a, T>(&'a self, limits: &FileLimits) -> RecordReader<'a, T>
    where
        T: tallybox_model::avro::Record + serde::Deserialize<'a>,
    {
        RecordReader::new(&self.block, &self.schema, limits)
    }
}

enum State {
    Unopened(Input),
    Open(ContainerReader<Input>),
    Ended,
}

/// A stream of the blocks of a packet file that hashes all bytes. Reading blocks the thread; memory
/// use is bounded by the block limit.
pub struct PacketStream {
    state: State,
    object: String,
    expected: Digest,
    limits: FileLimits,
    bytes: u64,
}

impl PacketStream {
    pub(super) fn new(
        input: Box<dyn Read + Send>,
        bytes: u64,
        object: String,
        expected: Digest,
        limits: FileLimits,
    ) -> Self {
        let input = HashingReader::new(BufReader::with_capacity(64 << 10, input));
        Self {
            state: State::Unopened(input),
            object,
            expected,
            limits,
            bytes,
        }
    }

    /// Returns the stream with other limits. Call it before the first read.
    #[must_use]
    pub fn within(mut self, limits: FileLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Returns the length of the file in bytes, as stated by the bucket.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the limits for decoding the records.
    #[must_use]
    pub fn limits(&self) -> &FileLimits {
        &self.limits
    }

    /// Returns the name of the packet object.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// Reads the next block; returns `None` at the end of the file, **at which the digest is
    /// verified**. A caller that stops earlier calls [`Self::finish`].
    ///
    /// # Errors
    /// [`BatchError::BadDigest`], rather than [`BatchError::Malformed`], if the file is malformed
    /// and its digest differs from the signed one.
    pub fn next_block(&mut self) -> Result<Option<PacketBlock>, BatchError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => Ok(None),
            State::Unopened(mut input) => {
                if is_empty(&mut input)
                    .map_err(|error| BatchError::read(&self.object, error.into()))?
                {
                    self.check_digest(input)?;
                    return Ok(None);
                }
                // A reader that cannot be opened consumes the input, so the digest of such a file
                // is not checked and the file is reported as malformed. It was signed in this state
                // or damaged; both are refused.
                let reader = ContainerReader::open(input, &self.limits);
                self.state =
                    State::Open(reader.map_err(|error| BatchError::read(&self.object, error))?);
                self.next_block()
            }
            State::Open(mut reader) => match reader.next_block() {
                Ok(Some(block)) => {
                    let schema = Arc::clone(reader.schema());
                    self.state = State::Open(reader);
                    Ok(Some(PacketBlock { block, schema }))
                }
                Ok(None) => self.check_digest(reader.into_inner()).map(|()| None),
                Err(error) => {
                    Err(self.blame(reader.into_inner(), BatchError::read(&self.object, error)))
                }
            },
        }
    }

    /// Reads the rest of the file and compares the digest of the whole file with the header's.
    ///
    /// # Errors
    /// [`BatchError::BadDigest`], or the error of the bucket.
    pub fn finish(mut self) -> Result<(), BatchError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => Ok(()),
            State::Unopened(input) => self.check_digest(input),
            State::Open(reader) => self.check_digest(reader.into_inner()),
        }
    }

    /// Returns the error for a malformed record in an otherwise readable file:
    /// [`BatchError::BadDigest`] if the digest shows that the file was damaged after it was signed,
    /// otherwise the record's own error.
    #[must_use]
    pub fn blame_record(mut self, error: tallybox_model::avro::AvroError) -> BatchError {
        let error = BatchError::read(&self.object, error);
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => error,
            State::Unopened(input) => self.blame(input, error),
            State::Open(reader) => self.blame(reader.into_inner(), error),
        }
    }

    fn blame(&self, rest: Input, error: BatchError) -> BatchError {
        match error {
            BatchError::Bucket(_) => error,
            other => self.check_digest(rest).err().unwrap_or(other),
        }
    }

    fn check_digest(&self, input: Input) -> Result<(), BatchError> {
        let (digest, _) = input
            .finish()
            .map_err(|error| BatchError::read(&self.object, error.into()))?;
        if digest != self.expected {
            return Err(BatchError::BadDigest {
                object: self.object.clone(),
            });
        }
        Ok(())
    }
}

/// Returns whether the file is empty.
fn is_empty(input: &mut Input) -> std::io::Result<bool> {
    Ok(input.inner_mut().fill_buf()?.is_empty())
}
