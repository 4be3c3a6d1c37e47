//! Bodies that report their progress to their connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::connection::{Asked, Connection};

/// The body of a request, which reports received bytes.
#[derive(Debug)]
pub struct Coming<B: Body> {
    inner: B,
    connection: Arc<Connection>,
    id: u64,
}

/// The body of a response, which reports sent bytes. Dropping it ends the request.
#[derive(Debug)]
pub struct Going<B> {
    inner: B,
    asked: Asked,
}

impl Asked {
    /// Wraps the body of the request.
    pub fn coming<B: Body>(&self, inner: B) -> Coming<B> {
        let (connection, id) = (Arc::clone(self.connection()), self.id());
        if inner.is_end_stream() {
            connection.complete_request(id);
        }
        Coming {
            inner,
            connection,
            id,
        }
    }

    /// Wraps the body of the response.
    pub fn going<B>(self, inner: B) -> Going<B> {
        self.connection().start_response(self.id());
        Going { inner, asked: self }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Coming<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self
                .connection
                .count_received(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(None) => self.connection.complete_request(self.id),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Going<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.asked.connection().count_sent(self.asked.id(), bytes);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
