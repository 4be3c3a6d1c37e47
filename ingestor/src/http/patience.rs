//! Connections that do not say what they want, or do not take their answer: they are given up after a while, since they
//! hold memory and a place that others wait for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::budget::Hold;

/// Bytes of an answer handed on at a time.
const PIECE: usize = 16 << 10;
/// With so many bytes it is known which version of HTTP is spoken, and whose time limits hold.
const GREETING: usize = 24;

/// An answer that holds its memory until the last piece is taken, and breaks off when that takes too long.
pub(super) fn body(bytes: Bytes, hold: Arc<Hold>, patience: Duration) -> Body {
    if bytes.len() <= PIECE {
        return Body::from(bytes);
    }
    let deadline = Instant::now() + patience;
    Body::from_stream(stream::try_unfold((bytes, hold), move |(mut rest, hold)| async move {
        if rest.is_empty() {
            return Ok(None);
        }
        if Instant::now() >= deadline {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        let piece = rest.split_to(PIECE.min(rest.len()));
        Ok(Some((piece, (rest, hold))))
    }))
}

/// A connection with bounds on how long its first bytes may take to come, and how long written bytes may wait.
pub(super) struct Patient<S> {
    inner: S,
    came: usize,
    greeting: Pin<Box<Sleep>>,
    /// Runs while written bytes wait.
    stalled: Option<Pin<Box<Sleep>>>,
    patience: Duration,
}

impl<S> Patient<S> {
    pub(super) fn new(inner: S, greeting: Duration, patience: Duration) -> Self {
        Self {
            inner,
            came: 0,
            greeting: Box::pin(sleep(greeting)),
            stalled: None,
            patience,
        }
    }

    /// What to say while nothing can be written.
    fn waiting<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn written<T>(&mut self, result: io::Result<T>) -> Poll<io::Result<T>> {
        self.stalled = None;
        Poll::Ready(result)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(result) => {
                self.came = self.came.saturating_add(buffer.filled().len() - before);
                Poll::Ready(result)
            }
            Poll::Pending if self.came < GREETING => {
                ready!(self.greeting.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_takes_nothing_is_given_up() {
        let (ours, mut theirs) = duplex(16);
        let mut ours = Patient::new(ours, SOON, SOON);
        theirs.write_all(b"P").await.unwrap();
        let mut byte = [0; 2];
        assert_eq!(ours.read(&mut byte).await.unwrap(), 1);
        assert_eq!(ours.read(&mut byte).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let error = ours.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_that_goes_on_is_served() {
        let (ours, mut theirs) = duplex(16);
        let mut ours = Patient::new(ours, SOON, SOON);
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            let mut piece = [0; 8];
            while all.len() < 64 {
                sleep(SOON / 2).await;
                let read = theirs.read(&mut piece).await.unwrap();
                all.extend_from_slice(&piece[..read]);
            }
            all
        });
        ours.write_all(&[7; 64]).await.unwrap();
        assert_eq!(reading.await.unwrap(), [7; 64]);
    }
}
