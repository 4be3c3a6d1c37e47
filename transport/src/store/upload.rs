//! Uploads to a cloud's store: one request for a small object, several parts for a large one.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt as _, PutPayload, WriteMultipart};

use super::answer::LastAnswer;
use super::{StoreBucket, split};
use crate::{BucketError, Created, Upload};

/// Size of a part of a multipart upload, in bytes. S3 accepts 10,000 parts of at least 5 MiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Maximum number of concurrent parts of one upload.
const CONCURRENT_PARTS: usize = 4;

/// Number of attempts to create an object while the store responds with an inconclusive conflict.
const CREATE_ATTEMPTS: u32 = 6;

/// Pause before the second attempt. It doubles with each attempt, so that all attempts take about
/// six seconds.
const CREATE_PAUSE: Duration = Duration::from_millis(200);

/// An upload whose bytes are buffered until it is known whether they fit into one request.
pub(super) struct StoreUpload {
    bucket: StoreBucket,
    path: Path,
    state: State,
}

enum State {
    Held {
        chunks: Vec<Bytes>,
        bytes: usize,
    },
    Parts(WriteMultipart),
    /// The object already exists. Further bytes are discarded.
    Exists,
    /// The upload was committed or aborted, or has failed.
    Over,
}

impl StoreUpload {
    fn error(&self, error: StoreError) -> BucketError {
        self.bucket.error(self.path.as_ref(), error)
    }

    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Over)
    }

    fn over(&self) -> BucketError {
        let reason = "an earlier operation of this upload failed";
        BucketError::unavailable(&self.bucket.location, self.path.as_ref(), reason)
    }

    /// Starts an upload of an object of `size_hint` bytes, if the size is known.
    pub(super) async fn start(
        bucket: StoreBucket,
        path: Path,
        size_hint: Option<u64>,
    ) -> Result<Self, BucketError> {
        let is_large = size_hint.is_some_and(|size| size > bucket.single_request_bytes as u64);
        let mut upload = Self {
            bucket,
            path,
            state: State::Held {
                chunks: Vec::new(),
                bytes: 0,
            },
        };
        if is_large {
            upload.start_parts().await?;
        }
        Ok(upload)
    }

    /// Converts to a multipart upload, unless the object exists. If another writer creates the
    /// object between this check and the commit, it writes the same bytes, because the bytes of
    /// such large objects were fixed before.
    async fn start_parts(&mut self) -> Result<(), BucketError> {
        let State::Held { chunks, .. } = self.take_state() else {
            return Err(self.over());
        };
        match self.bucket.store.head(&self.path).await {
            Ok(_) => {
                self.state = State::Exists;
                return Ok(());
            }
            // In a mailbox that permits writing but not reading, the check gives no information.
            Err(StoreError::NotFound { .. } | StoreError::PermissionDenied { .. }) => {}
            Err(error) => return Err(self.error(error)),
        }
        let upload = self
            .bucket
            .store
            .put_multipart(&self.path)
            .await
            .map_err(|error| self.error(error))?;
        self.state = State::Parts(WriteMultipart::new_with_chunk_size(upload, PART_BYTES));
        for chunk in chunks {
            self.write_part(chunk).await?;
        }
        Ok(())
    }

    async fn write_part(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        let State::Parts(parts) = &mut self.state else {
            return Err(self.over());
        };
        // A single large chunk would start many parts at once.
        for piece in split(Ok(bytes)) {
            if let Err(error) = parts.wait_for_capacity(CONCURRENT_PARTS).await {
                return Err(self.error(error));
            }
            parts.put(piece?);
        }
        Ok(())
    }

    /// Creates the object unless it exists. A conflict without the information that the object
    /// exists is followed by another attempt.
    async fn put_if_absent(&mut self, chunks: Vec<Bytes>) -> Result<Created, BucketError> {
        let payload = PutPayload::from_iter(chunks);
        let mut pause = CREATE_PAUSE;
        for tries in 1.. {
            let answer = LastAnswer::default();
            let options = answer.create_options();
            let error = match self
                .bucket
                .store
                .put_opts(&self.path, payload.clone(), options)
                .await
            {
                Ok(_) => return Ok(Created::New),
                Err(
                    error @ (StoreError::AlreadyExists { .. }
                    | StoreError::Precondition { .. }
                    | StoreError::NotModified { .. }),
                ) => error,
                Err(error) => return Err(self.error(error)),
            };
            // Some servers respond with 409 to every request for an existing object. A visible
            // object exists in any case.
            if answer.is_settled() || self.bucket.store.head(&self.path).await.is_ok() {
                return Ok(Created::Exists);
            }
            if tries == CREATE_ATTEMPTS {
                return Err(BucketError::not_settled(
                    &self.bucket.location,
                    self.path.as_ref(),
                    Some(Box::new(error)),
                ));
            }
            tracing::info!(bucket = self.bucket.location, key = %self.path, tries, "inconclusive conflict when creating an object; retrying");
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(self.over())
    }
}

#[async_trait]
impl Upload for StoreUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        match &mut self.state {
            State::Held {
                chunks,
                bytes: held,
            } => {
                *held += bytes.len();
                chunks.push(bytes);
                if *held > self.bucket.single_request_bytes {
                    self.start_parts().await?;
                }
                Ok(())
            }
            State::Parts(_) => self.write_part(bytes).await,
            State::Exists => Ok(()),
            State::Over => Err(self.over()),
        }
    }

    async fn commit(mut self: Box<Self>) -> Result<Created, BucketError> {
        match self.take_state() {
            State::Held { bytes: 0, .. } if !self.bucket.stores_empty_objects => Ok(Created::New),
            State::Held { chunks, .. } => self.put_if_absent(chunks).await,
            State::Parts(parts) => parts
                .finish()
                .await
                .map(|_| Created::New)
                .map_err(|error| self.error(error)),
            State::Exists => Ok(Created::Exists),
            State::Over => Err(self.over()),
        }
    }

    async fn abort(mut self: Box<Self>) {
        if let State::Parts(parts) = self.take_state() {
            abort_parts(parts, &self.bucket.location).await;
        }
    }
}

impl Drop for StoreUpload {
    fn drop(&mut self) {
        let State::Parts(parts) = self.take_state() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let location = self.bucket.location.clone();
            runtime.spawn(async move { abort_parts(parts, &location).await });
        }
    }
}

/// Aborts a multipart upload. Remaining parts incur costs until the bucket's lifecycle rule removes
/// them, but are not objects.
async fn abort_parts(parts: WriteMultipart, location: &str) {
    if let Err(error) = parts.abort().await {
        tracing::warn!(bucket = location, error = %error, "cannot abort a multipart upload; its parts remain in the bucket");
    }
}
