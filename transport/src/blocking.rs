//! Objects as `std::io` readers and writers, for code on blocking threads, such as proof checks and
//! codecs.
//!
//! Each connects a task of the runtime with the blocking thread through a channel of a few chunks.
//! Both block, so they must not be used on a thread of the runtime; use `spawn_blocking` or a
//! thread pool.

use std::io::{self, BufRead, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::{BucketError, Created, Object, Upload};

/// Number of chunks in transit between the two sides.
const CHUNKS_AHEAD: usize = 4;

/// Number of bytes collected before they are passed to the upload.
const WRITE_BYTES: usize = 256 * 1024;

/// A blocking reader of an object. Its errors contain the [`BucketError`]; see
/// [`BucketError::recover`].
#[derive(Debug)]
pub struct BlockingReader {
    chunks: mpsc::Receiver<Result<Bytes, BucketError>>,
    current: Bytes,
    size: u64,
    /// True after an error. Every later read fails too, so that a truncated object is never taken
    /// as complete.
    failed: bool,
}

impl BlockingReader {
    /// Starts a task on this runtime that reads ahead. The task ends with the object or with the
    /// reader.
    pub fn new(mut object: Object, runtime: &Handle) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        runtime.spawn(async move {
            while let Some(chunk) = object.body.next().await {
                if sender.send(chunk).await.is_err() {
                    // The reader was dropped.
                    return;
                }
            }
            drop(sender);
        });
        Self {
            chunks,
            current: Bytes::new(),
            size: object.size,
            failed: false,
        }
    }

    /// Returns the length of the whole object in bytes, as announced by the bucket.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the next bytes as received from the bucket, without copying; `None` at the end of
    /// the object.
    pub fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        self.fill_buf()?;
        let chunk = std::mem::take(&mut self.current);
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}

impl BufRead for BlockingReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            if self.failed {
                return Err(io::Error::other("an earlier read of this object failed"));
            }
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => self.current = chunk,
                Some(Err(error)) => {
                    self.failed = true;
                    return Err(error.into());
                }
                None => break,
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount);
    }
}

impl Read for BlockingReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(into.len());
        into[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

/// A blocking writer of an object. Dropping it without [`BlockingWriter::finish`] aborts the
/// upload.
#[derive(Debug)]
pub struct BlockingWriter {
    buffer: BytesMut,
    chunks: mpsc::Sender<Message>,
    outcome: oneshot::Receiver<Result<Created, BucketError>>,
    runtime: Handle,
}

enum Message {
    Chunk(Bytes),
    Commit,
}

impl BlockingWriter {
    /// Takes over an upload and drives it with a task on this runtime.
    pub fn new(upload: Box<dyn Upload>, runtime: &Handle) -> Self {
        let (chunks, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let (sender, outcome) = oneshot::channel();
        runtime.spawn(async move {
            if let Some(result) = drive(upload, receiver).await {
                // The send fails if the writer was dropped. No caller waits for the result then.
                let _ = sender.send(result);
            }
        });
        Self {
            buffer: BytesMut::with_capacity(WRITE_BYTES),
            chunks,
            outcome,
            runtime: runtime.clone(),
        }
    }

    /// Returns the runtime on which the upload runs.
    pub fn handle(&self) -> &Handle {
        &self.runtime
    }

    /// Passes bytes to the upload without copying them.
    pub fn write_bytes(&mut self, bytes: Bytes) -> io::Result<()> {
        self.flush()?;
        self.send(Message::Chunk(bytes))
    }

    /// Commits the upload. On success, the object is complete and durable.
    pub fn finish(mut self) -> Result<Created, BucketError> {
        let sent = self.flush().and_then(|()| self.send(Message::Commit));
        match sent {
            Ok(()) => self
                .outcome
                .blocking_recv()
                .unwrap_or_else(|_| Err(stopped())),
            Err(error) => Err(BucketError::recover(error).unwrap_or_else(|_| stopped())),
        }
    }

    /// Passes a message to the task. If the task has ended, returns its error.
    fn send(&mut self, message: Message) -> io::Result<()> {
        if self.chunks.blocking_send(message).is_ok() {
            return Ok(());
        }
        match self.outcome.try_recv() {
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(_)) | Err(_) => Err(stopped().into()),
        }
    }
}

impl Write for BlockingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    /// Passes the collected bytes to the upload. Flushing does not make them durable.
    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(WRITE_BYTES));
        self.send(Message::Chunk(full.freeze()))
    }
}

/// Runs the upload until it is committed, fails, or its writer is dropped.
async fn drive(
    mut upload: Box<dyn Upload>,
    mut messages: mpsc::Receiver<Message>,
) -> Option<Result<Created, BucketError>> {
    loop {
        match messages.recv().await {
            Some(Message::Chunk(bytes)) => {
                if let Err(error) = upload.write(bytes).await {
                    upload.abort().await;
                    return Some(Err(error));
                }
            }
            Some(Message::Commit) => return Some(upload.commit().await),
            None => {
                upload.abort().await;
                return None;
            }
        }
    }
}

fn stopped() -> BucketError {
    BucketError::unavailable(
        "upload",
        "its object",
        "the task that writes the object has stopped",
    )
}

#[cfg(test)]
mod tests;
