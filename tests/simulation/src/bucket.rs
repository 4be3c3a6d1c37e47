//! A simulated bucket: objects in memory, behind a network that delays and fails operations, loses
//! responses and returns stale listings.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use tallybox_transport::faults::flip;
use tallybox_transport::intercept::{
    Decision, EntryStream, Intercepted, Interceptor, OperationKind, Request,
};
use tallybox_transport::{BucketError, Entry, Object, SharedBucket, memory, read_all};

use crate::schedule::{Answer, Asked, Life, Millis, Schedule};
use crate::time::MINUTE_MILLIS;

/// The objects of a simulated bucket, shared by all processes that use it.
#[derive(Debug)]
pub struct StoredBucket {
    /// The name of the bucket, for traces and digests.
    pub name: &'static str,
    /// The bucket without the simulated network.
    pub inner: SharedBucket,
    /// The time at which each object was created.
    made: Mutex<HashMap<String, Millis>>,
    /// The key of the object that was created last, until [`Self::newest`] takes it.
    newest: Mutex<Option<String>>,
    /// The same key, until [`Self::fresh`] takes it.
    fresh: Mutex<Option<String>>,
    /// The objects that the retention has deleted.
    deleted: Mutex<BTreeMap<String, Bytes>>,
    /// For each key, the time until which a create request reports that the object exists, although
    /// it does not.
    phantoms: Mutex<HashMap<String, Millis>>,
    /// The batches and rosters of which an object was returned with a wrong byte.
    flipped: Mutex<HashSet<String>>,
}

impl StoredBucket {
    /// Creates an empty bucket.
    #[must_use]
    pub fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            name,
            inner: memory(name),
            made: Mutex::default(),
            newest: Mutex::default(),
            fresh: Mutex::default(),
            deleted: Mutex::default(),
            phantoms: Mutex::default(),
            flipped: Mutex::default(),
        })
    }

    /// Records the time at which an object was created.
    pub fn note(&self, key: &str, now: Millis) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert(key.to_owned(), now);
        for last in [&self.newest, &self.fresh] {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.to_owned());
        }
        let mut deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        deleted.remove(key);
    }

    /// Removes the creation time of a deleted object.
    pub fn remove_time(&self, key: &str) {
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    /// Deletes the objects that were created before `time`, as a bucket's retention does. Returns
    /// the number of deleted objects.
    pub async fn expire(&self, time: Millis) -> u64 {
        let old = self.older_than(time);
        for key in &old {
            if let Ok(bytes) = read_all(&*self.inner, key, u64::MAX).await {
                let mut deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
                deleted.insert(key.clone(), bytes);
            }
            // Deletion from memory does not fail.
            let _ = self.inner.delete(key).await;
        }
        old.len() as u64
    }

    /// Returns the objects that the retention has deleted.
    pub fn deleted(&self) -> BTreeMap<String, Bytes> {
        self.deleted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the sorted keys of the objects that were created before `time`.
    fn older_than(&self, time: Millis) -> Vec<String> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old: Vec<String> = made
            .iter()
            .filter(|(key, at)| **at < time && !deleted.contains_key(*key))
            .map(|(key, _)| key.clone())
            .collect();
        old.sort();
        old
    }

    /// Returns the sorted keys of all present objects.
    pub fn keys(&self) -> Vec<String> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<String> = made
            .keys()
            .filter(|key| !deleted.contains_key(*key))
            .cloned()
            .collect();
        keys.sort();
        keys
    }

    /// Returns the time at which an object was created, if it is present or was deleted by the
    /// retention.
    pub fn made_at(&self, key: &str) -> Option<Millis> {
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .copied()
    }

    /// Returns the key of the object that was created last, once: the next call returns `None`
    /// unless another object has been created.
    pub fn newest(&self) -> Option<String> {
        self.newest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Returns the same key as [`newest`](Self::newest), once and independently of it, so that a
    /// second actor can wait for objects.
    pub fn fresh(&self) -> Option<String> {
        self.fresh
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Returns the creation time of the first object whose key begins and ends with the given
    /// strings.
    pub fn first_made(&self, begin: &str, end: &str) -> Option<Millis> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let found = made
            .iter()
            .filter(|(key, _)| key.starts_with(begin) && key.ends_with(end));
        found.map(|(_, at)| *at).min()
    }

    /// Returns whether a create request reports at `now` that the object exists, although it does
    /// not. The first request for a key fixes the end of that period, which `draw` returns.
    fn is_phantom(&self, key: &str, now: Millis, draw: impl FnOnce() -> Millis) -> bool {
        let mut phantoms = self.phantoms.lock().unwrap_or_else(PoisonError::into_inner);
        now < *phantoms.entry(key.to_owned()).or_insert_with(draw)
    }

    /// Returns whether this is the first read of a batch or roster with a wrong byte. There is no
    /// second one, because a processor treats an object that is damaged in two reads as a forgery.
    fn flips(&self, key: &str) -> bool {
        let (directory, file) = key.rsplit_once('/').unwrap_or(("", key));
        // The objects of one batch differ only after the first dot.
        let stem = file.split('.').next().unwrap_or(file);
        let mut flipped = self.flipped.lock().unwrap_or_else(PoisonError::into_inner);
        flipped.insert(format!("{directory}/{stem}"))
    }

    fn is_younger_than(&self, key: &str, time: Millis) -> bool {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(key).is_some_and(|at| *at > time)
    }
}

/// The permissions of a process in a bucket, and the faults that it sees there.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// True if the process may read and list. The writer of a mailbox may not.
    pub reads: bool,
    /// True if the bucket stores objects of no bytes.
    pub empty_objects: bool,
    /// The probability per 1000 that a listing is stale.
    pub stale: u64,
    /// The maximum age of a stale listing.
    pub staleness: Millis,
    /// The probability per 1000 that the first request to create an object returns "exists" and
    /// creates nothing.
    pub phantoms: u64,
    /// The probability per 1000 that a read returns a wrong byte.
    pub bad_reads: u64,
}

/// The maximum time for which an absent object is reported to exist.
const MAX_PHANTOM_MILLIS: Millis = 20 * MINUTE_MILLIS;

/// A bucket as one process sees it during one lifetime.
#[derive(Debug)]
pub struct SimBucket {
    stored: Arc<StoredBucket>,
    schedule: Arc<Schedule>,
    life: Arc<Life>,
    view: View,
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Injected(Answer);

impl SimBucket {
    /// Returns the bucket as this lifetime of a process sees it.
    #[must_use]
    pub fn shared(
        stored: &Arc<StoredBucket>,
        schedule: &Arc<Schedule>,
        life: &Arc<Life>,
        view: View,
    ) -> SharedBucket {
        let inner = Arc::clone(&stored.inner);
        let bucket = Self {
            stored: Arc::clone(stored),
            schedule: Arc::clone(schedule),
            life: Arc::clone(life),
            view,
        };
        Intercepted::wrap(inner, bucket)
    }

    /// Returns the time from which objects are missing in a listing, if the listing is stale.
    fn horizon(&self) -> Option<Millis> {
        let stale = self.view.stale > 0 && self.schedule.chance(self.view.stale);
        let bound = u64::try_from(self.view.staleness).unwrap_or(0);
        stale.then(|| {
            self.schedule.count("stale-listings");
            let age = i64::try_from(self.schedule.below(bound)).unwrap_or(0);
            self.schedule.now() - age
        })
    }
}

/// Returns the name of an operation in traces; `None` if it takes no virtual time.
fn verb(kind: OperationKind) -> Option<&'static str> {
    match kind {
        OperationKind::Get => Some("get"),
        OperationKind::GetRange => Some("range"),
        OperationKind::Size => Some("size"),
        OperationKind::List => Some("list"),
        OperationKind::ListDirectories => Some("directories"),
        OperationKind::Commit => Some("commit"),
        OperationKind::Delete => Some("delete"),
        OperationKind::Date => Some("date"),
        // Real object stores receive a small upload in one request at its commit.
        OperationKind::Create | OperationKind::Write | OperationKind::Abort => None,
    }
}

fn is_read(kind: OperationKind) -> bool {
    matches!(
        kind,
        OperationKind::Get
            | OperationKind::GetRange
            | OperationKind::Size
            | OperationKind::List
            | OperationKind::ListDirectories
    )
}

#[async_trait]
impl Interceptor for SimBucket {
    async fn before(&self, request: &Request<'_>) -> Result<Decision, BucketError> {
        let Some(verb) = verb(request.kind) else {
            if request.kind == OperationKind::Create && self.life.is_dead() {
                return Err(request.unavailable(Injected(Answer::Died)));
            }
            return Ok(Decision::Proceed);
        };
        let key = match request.kind {
            OperationKind::Date => "",
            _ => request.key,
        };
        let asked = Asked {
            verb,
            store: self.stored.name,
            key: key.to_owned(),
        };
        let answer = self.schedule.ask(&self.life, asked).await;
        if matches!(answer, Answer::Failed | Answer::Died) {
            return Err(request.unavailable(Injected(answer)));
        }
        if is_read(request.kind) && !self.view.reads {
            return Err(request.denied("the writer of a mailbox may not read it"));
        }
        match answer {
            Answer::Done => Ok(Decision::Proceed),
            _ => Ok(Decision::FailAfterEffect(
                request.unavailable(Injected(answer)),
            )),
        }
    }

    /// Returns whether a create request reports that the object exists, although it does not.
    fn reports_existing(&self, key: &str) -> bool {
        let (now, chance) = (self.schedule.now(), self.view.phantoms);
        let draw = || match chance > 0 && self.schedule.chance(chance) {
            true => {
                now + i64::try_from(self.schedule.below(MAX_PHANTOM_MILLIS.unsigned_abs()))
                    .unwrap_or(0)
            }
            false => now,
        };
        let is_phantom = chance > 0 && self.stored.is_phantom(key, now, draw);
        if is_phantom {
            self.schedule.count("phantoms");
        }
        is_phantom
    }

    fn changed(&self, kind: OperationKind, key: &str) {
        match kind {
            OperationKind::Delete => self.stored.remove_time(key),
            _ => self.stored.note(key, self.schedule.now()),
        }
    }

    async fn map_object(&self, key: &str, object: Object) -> Object {
        let bad = self.view.bad_reads > 0 && self.schedule.chance(self.view.bad_reads);
        if bad && self.stored.flips(key) {
            self.schedule.count("bad-reads");
            return flip(object).await;
        }
        object
    }

    async fn map_entries(&self, entries: EntryStream) -> EntryStream {
        let horizon = self.horizon();
        let mut all: Vec<_> = entries.collect().await;
        if let Some(horizon) = horizon {
            let young = |entry: &Result<Entry, _>| match entry {
                Ok(entry) => self.stored.is_younger_than(&entry.key, horizon),
                Err(_) => false,
            };
            all.retain(|entry| !young(entry));
        }
        stream::iter(all).boxed()
    }

    fn date(&self) -> Option<i64> {
        // The clocks of buckets are right; only those of processes can be wrong.
        Some(self.schedule.now())
    }

    fn stores_empty_objects(&self, _inner: bool) -> bool {
        self.view.empty_objects
    }
}
