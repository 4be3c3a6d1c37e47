//! Any `object_store` as a bucket: the clouds', and the one in memory.

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

/// Up to this many bytes an object is one conditional request; above it is a multipart upload, for which
/// `object_store` knows no condition.
const SINGLE_REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// Bytes in a part of a multipart upload: S3 takes 10,000 parts of at least 5 MiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Parts of one upload on their way at a time.
const PARTS_AT_ONCE: usize = 4;

/// Bytes handed on at a time; a store may give far more at once.
const CHUNK_BYTES: usize = 1024 * 1024;

/// How often an object is put whose creation was answered with a conflict that settles nothing.
const CREATE_TRIES: u32 = 6;

/// Pause before the second try; it doubles with each, so that all take about six seconds.
const CREATE_PAUSE: Duration = Duration::from_millis(200);

/// A bucket in an [`ObjectStore`].
#[derive(Debug, Clone)]
pub(crate) struct StoreBucket {
    store: Arc<dyn ObjectStore>,
    location: String,
    stores_empty_objects: bool,
    single_request_bytes: usize,
}

impl StoreBucket {
    /// The bucket that is all of `store`; `location` stands in messages.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, location: String, stores_empty_objects: bool) -> Self {
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
            return self.size(key).await.map(|_| Bytes::new());
        }
        match self.store.get_range(&path, range.clone()).await {
            Ok(bytes) => Ok(bytes),
            // A server answers "not satisfiable" to a range that starts past the end, with an error of no kind.
            Err(error @ StoreError::Generic { .. }) => match self.size(key).await {
                Ok(size) if range.start >= size => Ok(Bytes::new()),
                _ => Err(self.error(key, error)),
            },
            Err(error) => Err(self.error(key, error)),
        }
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        let found = self.store.head(&Self::path(key)?).await;
        found.map(|meta| meta.size).map_err(|error| self.error(key, error))
    }

    async fn create(&self, key: &str, size_hint: Option<u64>) -> Result<Box<dyn Upload>, BucketError> {
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
        let prefixes = listed.map_err(|error| self.error(prefix, error))?.common_prefixes;
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
        let written = self.store.put(&path, PutPayload::new()).await;
        written.map_err(|error| self.error(CLOCK, error))?;
        let found = self.store.head(&path).await.map_err(|error| self.error(CLOCK, error))?;
        Ok(found.last_modified.timestamp_millis())
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    fn stores_empty_objects(&self) -> bool {
        self.stores_empty_objects
    }
}

/// An object on its way: held back until it is known to fit into one request.
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
    /// There is an object already: what comes is thrown away.
    Exists,
    /// Committed, aborted, or broken by an error.
    Over,
}

impl StoreUpload {
    fn error(&self, error: StoreError) -> BucketError {
        self.bucket.error(self.path.as_ref(), error)
    }

    fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Over)
    }

    fn over(&self) -> BucketError {
        let reason = "an earlier operation of this upload failed";
        BucketError::unavailable(&self.bucket.location, self.path.as_ref(), reason)
    }

    /// Turns into a multipart upload, unless the object is there. Another writer between this look and the commit
    /// writes the same bytes: what is this large has been fixed before.
    async fn start_parts(&mut self) -> Result<(), BucketError> {
        let State::Held { chunks, .. } = self.take() else {
            return Err(self.over());
        };
        match self.bucket.store.head(&self.path).await {
            Ok(_) => {
                self.state = State::Exists;
                return Ok(());
            }
            // In a mailbox that we may write but not read, the look tells nothing.
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
        // One huge chunk would become many parts at once.
        for piece in split(Ok(bytes)) {
            if let Err(error) = parts.wait_for_capacity(PARTS_AT_ONCE).await {
                return Err(self.error(error));
            }
            parts.put(piece?);
        }
        Ok(())
    }

    /// Puts the object unless it is there. A conflict that does not say that it is there is answered by another try.
    async fn put_if_absent(&mut self, chunks: Vec<Bytes>) -> Result<Created, BucketError> {
        let payload = PutPayload::from_iter(chunks);
        let mut pause = CREATE_PAUSE;
        for tries in 1.. {
            let answer = LastAnswer::default();
            let options = answer.create_options();
            let error = match self.bucket.store.put_opts(&self.path, payload.clone(), options).await {
                Ok(_) => return Ok(Created::New),
                Err(
                    error @ (StoreError::AlreadyExists { .. }
                    | StoreError::Precondition { .. }
                    | StoreError::NotModified { .. }),
                ) => error,
                Err(error) => return Err(self.error(error)),
            };
            // Some servers answer 409 to whatever exists; what can be seen is there.
            if answer.is_settled() || self.bucket.store.head(&self.path).await.is_ok() {
                return Ok(Created::Exists);
            }
            if tries == CREATE_TRIES {
                return Err(BucketError::not_settled(
                    &self.bucket.location,
                    self.path.as_ref(),
                    Some(Box::new(error)),
                ));
            }
            tracing::info!(bucket = self.bucket.location, key = %self.path, tries, "a conflict that settles nothing, put again");
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
            State::Held { chunks, bytes: held } => {
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
        match self.take() {
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
        if let State::Parts(parts) = self.take() {
            forget_parts(parts, &self.bucket.location).await;
        }
    }
}

impl Drop for StoreUpload {
    fn drop(&mut self) {
        let State::Parts(parts) = self.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let location = self.bucket.location.clone();
            runtime.spawn(async move { forget_parts(parts, &location).await });
        }
    }
}

/// Parts that stay behind cost money until the bucket's lifecycle rule removes them, but are no object.
async fn forget_parts(parts: WriteMultipart, location: &str) {
    if let Err(error) = parts.abort().await {
        tracing::warn!(bucket = location, error = %error, "parts of an upload were left behind");
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

/// Where a server may start listing what is under `prefix`: it leaves the offset itself out, so the offset sorts before the
/// first key wanted, and the rest is filtered here.
///
/// A server that lists as one walks through directories (SeaweedFS) also leaves out what is in a directory that sorts
/// before the offset by its name alone. Such a directory may hold keys that are wanted: `a/x` comes after `a-`, since a
/// slash comes after a hyphen, and `a` before it. So the offset is no part of the first key, and ends where a
/// directory's name may end: its last component sorts just before that name, and all that is below it.
fn offset(prefix: &str, range: &ListRange) -> Option<Path> {
    let start = range.start_at.as_deref()?.trim_end_matches('/');
    // A bound outside of the prefix is before all of it, or after all of it.
    let below = match prefix {
        "" => start,
        prefix => start.strip_prefix(prefix)?.strip_prefix('/')?,
    };
    let mut start = &start[..start.len() - below.len() + up_to_directory(below).len()];
    while start.len() > prefix.len() {
        let (parent, component) = start.rsplit_once('/').unwrap_or(("", start));
        // What is no path is no help. An earlier offset is as right, and so is none.
        if let Some(before) = just_before(component)
            && let Ok(offset) = Path::parse(format!("{parent}/{before}").trim_start_matches('/'))
        {
            return Some(offset);
        }
        start = parent;
    }
    None
}

/// The beginning of a key up to where a directory's name may end, although the component goes on: before a byte that
/// sorts before the slash.
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

/// A text that sorts before this component of a key and is no beginning of it, with little between them.
fn just_before(component: &str) -> Option<String> {
    let (at, last) = component.char_indices().next_back()?;
    let previous = match last {
        // A slash ends a component, and some servers take a backslash for one.
        '0' => '.',
        ']' => '[',
        _ => char::from_u32(u32::from(last).checked_sub(1)?)?,
    };
    (!previous.is_control()).then(|| format!("{}{previous}~", &component[..at]))
}

/// A checked key or prefix as the store's path, character for character.
pub(crate) fn to_path(key: &str) -> Result<Path, BucketError> {
    Path::parse(key).map_err(|_| BucketError::InvalidKey {
        key: key.to_owned(),
        reason: "the store does not take it",
    })
}

fn meaning(location: &str, key: &str, error: StoreError) -> BucketError {
    match error {
        StoreError::NotFound { .. } => BucketError::not_found(location, key),
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => BucketError::PermissionDenied {
            key: key.to_owned(),
            bucket: location.to_owned(),
            source: Box::new(error),
        },
        other => BucketError::unavailable(location, key, other),
    }
}

#[cfg(test)]
mod tests;
