//! Answers that a client does not read are cancelled after a timeout, since they hold memory that
//! other requests need.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::budget::Hold;
use super::framing::{Framing, TwoLengths};

/// Bytes of an answer that are passed on at a time.
const PIECE_BYTES: usize = 16 << 10;

/// Returns an answer that holds its memory until the last piece is sent, and fails if that takes
/// longer than `timeout`.
pub(super) fn body_with_timeout(bytes: Bytes, hold: Hold, timeout: Duration) -> Body {
    if bytes.len() <= PIECE_BYTES {
        return Body::from(bytes);
    }
    let deadline = Instant::now() + timeout;
    Body::from_stream(stream::try_unfold(
        (bytes, hold),
        move |(mut rest, hold)| async move {
            if rest.is_empty() {
                return Ok(None);
            }
            if Instant::now() >= deadline {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            let piece = rest.split_to(PIECE_BYTES.min(rest.len()));
            Ok(Some((piece, (rest, hold))))
        },
    ))
}

/// A connection that limits how long written bytes may wait, and checks requests for two stated
/// lengths.
pub(super) struct WriteTimeout<S> {
    inner: S,
    framing: Framing,
    /// A timer that runs while written bytes wait.
    stalled: Option<Pin<Box<Sleep>>>,
    timeout: Duration,
}

impl<S> WriteTimeout<S> {
    pub(super) fn new(inner: S, timeout: Duration, two_lengths: TwoLengths) -> Self {
        Self {
            inner,
            framing: Framing::new(two_lengths),
            stalled: None,
            timeout,
        }
    }

    /// Returns the result while nothing can be written: pending, or an error after the timeout.
    fn waiting<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let timeout = self.timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn written<T>(&mut self, result: io::Result<T>) -> Poll<io::Result<T>> {
        self.stalled = None;
        Poll::Ready(result)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.framing.parse(&buffer.filled()[before..]);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write(context, bytes) {
            Poll::Ready(result) => self.written(result),
            Poll::Pending => self.waiting(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write_vectored(context, slices) {
            Poll::Ready(result) => self.written(result),
            Poll::Pending => self.waiting(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_flush(context) {
            Poll::Ready(result) => self.written(result),
            Poll::Pending => self.waiting(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_shutdown(context) {
            Poll::Ready(result) => self.written(result),
            Poll::Pending => self.waiting(context),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (ours, _theirs) = duplex(16);
        let mut ours = WriteTimeout::new(ours, TIMEOUT, TwoLengths::default());
        let error = ours.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_that_goes_on_is_served() {
        let (ours, mut theirs) = duplex(16);
        let mut ours = WriteTimeout::new(ours, TIMEOUT, TwoLengths::default());
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            let mut piece = [0; 8];
            while all.len() < 64 {
                sleep(TIMEOUT / 2).await;
                let read = theirs.read(&mut piece).await.unwrap();
                all.extend_from_slice(&piece[..read]);
            }
            all
        });
        ours.write_all(&[7; 64]).await.unwrap();
        assert_eq!(reading.await.unwrap(), [7; 64]);
    }
}
