//! A bucket on top of any `object_store` implementation: those of the clouds and the one in memory.

mod answer;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};

use crate::bucket::CLOCK;
use crate::key::{check_key, check_prefix};
use crate::{Bucket, BucketError, Created, Entry, ListRange, Object, Upload};

pub(crate) use answer::LastAnswer;

/// Objects of up to this many bytes are created with one conditional request. Larger objects use a
/// multipart upload, for which `object_store` supports no condition.
const SINGLE_REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// Size of a part of a multipart upload, in bytes. S3 accepts 10,000 parts of at least 5 MiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Maximum number of concurrent parts of one upload.
const CONCURRENT_PARTS: usize = 4;

/// Maximum size of a chunk that is passed on, in bytes. A store may return larger chunks.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Number of attempts to create an object while the store responds with an inconclusive conflict.
const CREATE_ATTEMPTS: u32 = 6;

/// Pause before the second attempt. It doubles with each attempt, so that all attempts take about
/// six seconds.
const CREATE_PAUSE: Duration = Duration::from_millis(200);

/// A bucket on top of an [`ObjectStore`].
#[derive(Debug, Clone)]
pub(crate) struct StoreBucket {
    store: Arc<dyn ObjectStore>,
    location: String,
    stores_empty_objects: bool,
    single_request_bytes: usize,
}

impl StoreBucket {
    /// Creates the bucket of all objects in `store`; `location` identifies it in messages.
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        location: String,
        stores_empty_objects: bool,
    ) -> Self {
        Self {
            store,
            location,
            stores_empty_objects,
            single_request_bytes: SINGLE_REQUEST_BYTES,
        }
    }

    fn path(key: &str) -> Result<Path, BucketError> {
        check_key(key)?;
        to_path(key)
    }

    fn error(&self, key: &str, error: StoreError) -> BucketError {
        meaning(&self.location, key, error)
    }
}

#[async_trait]
impl Bucket for StoreBucket {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        let found = self
            .store
            .get(&Self::path(key)?)
            .await
            .map_err(|error| self.error(key, error))?;
        let size = found.meta.size;
        let (location, key) = (self.location.clone(), key.to_owned());
        let body = found
            .into_stream()
            .map_err(move |error| meaning(&location, &key, error))
            .flat_map(|chunk| stream::iter(split(chunk)))
            .boxed();
        Ok(Object { size, body })
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        let path = Self::path(key)?;
        if range.is_empty() {
            // Servers refuse an empty range. Only the existence of the object has to be checked.
            return self.size(key).await.map(|_| Bytes::new());
        }
        match self.store.get_range(&path, range.clone()).await {
            Ok(bytes) => Ok(bytes),
            // A server responds with "not satisfiable", which is a generic error, to a range that
            // starts past the end.
            Err(error @ StoreError::Generic { .. }) => match self.size(key).await {
                Ok(size) if range.start >= size => Ok(Bytes::new()),
                _ => Err(self.error(key, error)),
            },
            Err(error) => Err(self.error(key, error)),
        }
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        let found = self.store.head(&Self::path(key)?).await;
        found
            .map(|meta| meta.size)
            .map_err(|error| self.error(key, error))
    }

    async fn create(
        &self,
        key: &str,
        size_hint: Option<u64>,
    ) -> Result<Box<dyn Upload>, BucketError> {
        let mut upload = StoreUpload {
            bucket: self.clone(),
            path: Self::path(key)?,
            state: State::Held {
                chunks: Vec::new(),
                bytes: 0,
            },
        };
        if size_hint.is_some_and(|size| size > self.single_request_bytes as u64) {
            upload.start_parts().await?;
        }
        Ok(Box::new(upload))
    }

    async fn list(
        &self,
        prefix: &str,
        range: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
        let prefix = check_prefix(prefix)?.to_owned();
        let directory = to_path(&prefix)?;
        let listed = match offset(&prefix, &range) {
            Some(offset) => self.store.list_with_offset(Some(&directory), &offset),
            None => self.store.list(Some(&directory)),
        };
        let location = self.location.clone();
        let end = range.clone();
        Ok(listed
            .map_ok(|meta| Entry {
                key: meta.location.to_string(),
                size: meta.size,
            })
            .map_err(move |error| meaning(&location, &prefix, error))
            .try_take_while(move |entry| futures::future::ready(Ok(!end.is_after(&entry.key))))
            .try_filter(move |entry| futures::future::ready(!range.is_before(&entry.key)))
            .boxed())
    }

    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        let directory = to_path(check_prefix(prefix)?)?;
        let listed = self.store.list_with_delimiter(Some(&directory)).await;
        let prefixes = listed
            .map_err(|error| self.error(prefix, error))?
            .common_prefixes;
        let mut directories: Vec<String> = prefixes.into_iter().map(String::from).collect();
        directories.sort_unstable();
        Ok(directories)
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        match self.store.delete(&Self::path(key)?).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(key, error)),
        }
    }

    async fn date(&self) -> Result<i64, BucketError> {
        let path = Self::path(CLOCK)?;
        // Overwriting the object updates its modification date.
        let written = self.store.put(&path, PutPayload::new()).await;
        written.map_err(|error| self.error(CLOCK, error))?;
        let found = self
            .store
            .head(&path)
            .await
            .map_err(|error| self.error(CLOCK, error))?;
        Ok(found.last_modified.timestamp_millis())
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    fn stores_empty_objects(&self) -> bool {
        self.stores_empty_objects
    }
}

/// An upload whose bytes are buffered until it is known whether they fit into one request.
struct StoreUpload {
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

fn split(chunk: Result<Bytes, BucketError>) -> Vec<Result<Bytes, BucketError>> {
    match chunk {
        Ok(mut rest) => {
            let mut pieces = Vec::with_capacity(rest.len() / CHUNK_BYTES + 1);
            while rest.len() > CHUNK_BYTES {
                pieces.push(Ok(rest.split_to(CHUNK_BYTES)));
            }
            if !rest.is_empty() {
                pieces.push(Ok(rest));
            }
            pieces
        }
        Err(error) => vec![Err(error)],
    }
}

/// Returns the offset at which a server may start the listing of `prefix`. A server omits the
/// offset itself, so the offset has to precede the first key of the range; the remaining keys
/// before the range are filtered out locally.
///
/// A server that lists in the order of a directory walk (SeaweedFS) also omits the content of a
/// directory whose name alone precedes the offset. Such a directory may contain keys of the range:
/// `a/x` follows `a-`, because a slash follows a hyphen, but `a` precedes it. Therefore the offset
/// is not a prefix of the first key, and ends where the name of a directory may end. The last
/// component of the offset sorts just before that name and everything below it.
fn offset(prefix: &str, range: &ListRange) -> Option<Path> {
    let start = range.start_at.as_deref()?.trim_end_matches('/');
    // A bound outside of the prefix is either before or after all of its keys.
    let below = match prefix {
        "" => start,
        prefix => start.strip_prefix(prefix)?.strip_prefix('/')?,
    };
    let mut start = &start[..start.len() - below.len() + up_to_directory(below).len()];
    while start.len() > prefix.len() {
        let (parent, component) = start.rsplit_once('/').unwrap_or(("", start));
        // A text that is not a valid path cannot be used. An earlier offset, or none, is correct as
        // well.
        if let Some(before) = just_before(component)
            && let Ok(offset) = Path::parse(format!("{parent}/{before}").trim_start_matches('/'))
        {
            return Some(offset);
        }
        start = parent;
    }
    None
}

/// Returns the beginning of a key up to the first position in a component at which the name of a
/// directory may end: before a byte that sorts before the slash.
fn up_to_directory(key: &str) -> &str {
    let mut within = false;
    for (at, byte) in key.bytes().enumerate() {
        if within && byte < b'/' {
            return &key[..at];
        }
        within = byte != b'/';
    }
    key
}

/// Returns a text that sorts closely before this component of a key and is not a prefix of it.
fn just_before(component: &str) -> Option<String> {
    let (at, last) = component.char_indices().next_back()?;
    let previous = match last {
        // A slash ends a component, and some servers treat a backslash as a slash.
        '0' => '.',
        ']' => '[',
        _ => char::from_u32(u32::from(last).checked_sub(1)?)?,
    };
    (!previous.is_control()).then(|| format!("{}{previous}~", &component[..at]))
}

/// Converts a valid key or prefix to the store's path, character by character.
pub(crate) fn to_path(key: &str) -> Result<Path, BucketError> {
    Path::parse(key).map_err(|_| BucketError::InvalidKey {
        key: key.to_owned(),
        reason: "the object store does not accept it",
    })
}

fn meaning(location: &str, key: &str, error: StoreError) -> BucketError {
    match error {
        StoreError::NotFound { .. } => BucketError::not_found(location, key),
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            BucketError::PermissionDenied {
                key: key.to_owned(),
                bucket: location.to_owned(),
                source: Box::new(error),
            }
        }
        other => BucketError::unavailable(location, key, other),
    }
}

#[cfg(test)]
mod tests;
