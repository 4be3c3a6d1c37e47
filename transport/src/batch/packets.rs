//! The packets of a signed batch, as a stream that ends in the verdict on their digest.

use super::BatchError;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use tallybox_model::avro::{Block, ContainerReader, Limits, Records, WriterSchema};
use tallybox_model::digest::{Digest, HashingReader};

type Input = HashingReader<BufReader<Box<dyn Read + Send>>>;

/// A block of packets and the schema to decode them with.
#[derive(Debug)]
pub struct PacketBlock {
    /// The records.
    pub block: Block,
    schema: Arc<WriterSchema>,
}

impl PacketBlock {
    /// The block's records of type `T`, which may borrow from it.
    pub fn records<'a, T>(&'a self, limits: &Limits) -> Records<'a, T>
    where
        T: tallybox_model::avro::Record + serde::Deserialize<'a>,
    {
        Records::new(&self.block, &self.schema, limits)
    }
}

enum State {
    Unopened(Input),
    Open(ContainerReader<Input>),
    Ended,
}

/// Streams the blocks of a packet file, hashing what passes. Blocking; memory is bounded by the block limit.
pub struct PacketStream {
    state: State,
    object: String,
    expected: Digest,
    limits: Limits,
    bytes: u64,
}

impl PacketStream {
    pub(super) fn new(
        input: Box<dyn Read + Send>,
        bytes: u64,
        object: String,
        expected: Digest,
        limits: Limits,
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

    /// The same stream, read within other limits; for a stream of which nothing was read.
    #[must_use]
    pub fn within(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The length of the file in bytes, as the bucket says.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The limits its records are read with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The name of the packet object.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// The next block; `None` at the end of the file, **which is not yet the verdict**: ask [`Self::finish`].
    ///
    /// # Errors
    /// [`BatchError::BadDigest`] rather than [`BatchError::Malformed`] if what cannot be read is not what was signed.
    pub fn next_block(&mut self) -> Result<Option<PacketBlock>, BatchError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => Ok(None),
            State::Unopened(mut input) => {
                if is_empty(&mut input).map_err(|error| BatchError::read(&self.object, error.into()))? {
                    self.verdict(input)?;
                    return Ok(None);
                }
                // The reader is consumed by a failure to open, so such a file is reported as malformed without a
                // look at its digest: it was signed like that, or it was damaged, and either way it is refused.
                let reader = ContainerReader::open(input, &self.limits);
                self.state = State::Open(reader.map_err(|error| BatchError::read(&self.object, error))?);
                self.next_block()
            }
            State::Open(mut reader) => match reader.next_block() {
                Ok(Some(block)) => {
                    let schema = Arc::clone(reader.schema());
                    self.state = State::Open(reader);
                    Ok(Some(PacketBlock { block, schema }))
                }
                Ok(None) => self.verdict(reader.into_inner()).map(|()| None),
                Err(error) => Err(self.blame(reader.into_inner(), BatchError::read(&self.object, error))),
            },
        }
    }

    /// Reads what is left and compares the digest of the whole file with the header's.
    ///
    /// # Errors
    /// [`BatchError::BadDigest`], or the bucket's.
    pub fn finish(mut self) -> Result<(), BatchError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => Ok(()),
            State::Unopened(input) => self.verdict(input),
            State::Open(reader) => self.verdict(reader.into_inner()),
        }
    }

    /// A malformed record in an otherwise readable file: the fault lies with whoever damaged it, if the digest says so.
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
            other => self.verdict(rest).err().unwrap_or(other),
        }
    }

    fn verdict(&self, input: Input) -> Result<(), BatchError> {
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

/// Whether the file has no bytes at all.
fn is_empty(input: &mut Input) -> std::io::Result<bool> {
    Ok(input.inner_mut().fill_buf()?.is_empty())
}
