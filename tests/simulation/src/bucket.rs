//! A bucket as one process sees it: in memory, behind a network that delays, fails, loses answers and lists late.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tallybox_transport::faults::flip;
use tallybox_transport::{
    Bucket, BucketError, Created, Entry, ListRange, Object, SharedBucket, Upload, memory, read_all,
};

use crate::schedule::{Answer, Asked, Life, Millis, Schedule};
use crate::time::MINUTE;

/// The objects of a bucket, shared by all who see it.
#[derive(Debug)]
pub struct Shelf {
    /// Its name.
    pub name: &'static str,
    /// What is in it, without any network.
    pub inner: SharedBucket,
    /// When each object was made.
    made: Mutex<HashMap<String, Millis>>,
    /// The object that was made last.
    newest: Mutex<Option<String>>,
    /// The same, for somebody else who asks.
    fresh: Mutex<Option<String>>,
    /// What a retention has deleted.
    deleted: Mutex<BTreeMap<String, Bytes>>,
    /// Until when each object is said to exist although it is not there.
    phantoms: Mutex<HashMap<String, Millis>>,
    /// Batches and rosters of which one object was given with a wrong byte, once.
    flipped: Mutex<HashSet<String>>,
}

impl Shelf {
    /// An empty one.
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

    /// Notes when an object was made.
    pub fn note(&self, key: &str, now: Millis) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert(key.to_owned(), now);
        for last in [&self.newest, &self.fresh] {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.to_owned());
        }
        let mut deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        deleted.remove(key);
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &str) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Deletes what is older than this, as a bucket's own retention does; how many objects there were.
    pub async fn expire(&self, time: Millis) -> u64 {
        let old = self.older_than(time);
        for key in &old {
            if let Ok(bytes) = read_all(&*self.inner, key, u64::MAX).await {
                let mut deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
                deleted.insert(key.clone(), bytes);
            }
            // In memory nothing fails.
            let _ = self.inner.delete(key).await;
        }
        old.len() as u64
    }

    /// What a retention has deleted.
    pub fn deleted(&self) -> BTreeMap<String, Bytes> {
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The objects that are older than this, sorted.
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

    /// The keys of all objects that are there, sorted.
    pub fn keys(&self) -> Vec<String> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<String> = made.keys().filter(|key| !deleted.contains_key(*key)).cloned().collect();
        keys.sort();
        keys
    }

    /// When an object was made, if it is there or was deleted by a retention.
    pub fn made_at(&self, key: &str) -> Option<Millis> {
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .copied()
    }

    /// The object that was made last, if it is the first time that somebody asks.
    pub fn newest(&self) -> Option<String> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// As [`newest`](Self::newest), for the editor.
    pub fn fresh(&self) -> Option<String> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// When the first object was made whose key begins and ends so.
    pub fn first_made(&self, begin: &str, end: &str) -> Option<Millis> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let found = made
            .iter()
            .filter(|(key, _)| key.starts_with(begin) && key.ends_with(end));
        found.map(|(_, at)| *at).min()
    }

    /// Whether an object that is put now is said to exist although it is not there. The first request for it decides for
    /// how long; `draw` says so, if it is to be.
    fn is_phantom(&self, key: &str, now: Millis, draw: impl FnOnce() -> Millis) -> bool {
        let mut phantoms = self.phantoms.lock().unwrap_or_else(PoisonError::into_inner);
        now < *phantoms.entry(key.to_owned()).or_insert_with(draw)
    }

    /// Whether this is the first bad read of a batch or a roster: two would be a forgery.
    fn flips(&self, key: &str) -> bool {
        let (directory, file) = key.rsplit_once('/').unwrap_or(("", key));
        let stem = file.split('.').next().unwrap_or(file);
        let mut flipped = self.flipped.lock().unwrap_or_else(PoisonError::into_inner);
        flipped.insert(format!("{directory}/{stem}"))
    }

    fn is_younger_than(&self, key: &str, time: Millis) -> bool {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(key).is_some_and(|at| *at > time)
    }
}

/// What a process may do with a bucket, and how it answers.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Whether it may read and list; one who writes to another's mailbox may not.
    pub reads: bool,
    /// Whether objects of no bytes exist.
    pub empty_objects: bool,
    /// Chance in 1000 that a listing is stale.
    pub stale: u64,
    /// By how much it is at most.
    pub staleness: Millis,
    /// Chance in 1000 that the first request to make an object is answered "exists", and makes nothing.
    pub phantoms: u64,
    /// Chance in 1000 that a read has a wrong byte.
    pub bad_reads: u64,
}

/// The longest time for which an object that is not there is said to exist.
const PHANTOM: Millis = 20 * MINUTE;

/// A bucket as one life of a process sees it.
#[derive(Clone, Debug)]
pub struct SimBucket {
    shelf: Arc<Shelf>,
    schedule: Arc<Schedule>,
    life: Arc<Life>,
    view: View,
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Injected(Answer);

impl SimBucket {
    /// The bucket as this life sees it.
    #[must_use]
    pub fn shared(shelf: &Arc<Shelf>, schedule: &Arc<Schedule>, life: &Arc<Life>, view: View) -> SharedBucket {
        Arc::new(Self {
            shelf: Arc::clone(shelf),
            schedule: Arc::clone(schedule),
            life: Arc::clone(life),
            view,
        })
    }

    fn unavailable(&self, key: &str, answer: Answer) -> BucketError {
        BucketError::Unavailable {
            key: key.to_owned(),
            bucket: self.shelf.name.to_owned(),
            source: Box::new(Injected(answer)),
        }
    }

    async fn run<T>(
        &self,
        verb: &'static str,
        key: &str,
        operation: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let asked = Asked {
            verb,
            place: self.shelf.name,
            key: key.to_owned(),
        };
        let answer = self.schedule.ask(&self.life, asked).await;
        match answer {
            Answer::Done => operation.await,
            Answer::Lost | Answer::DiedAfter => {
                operation.await?;
                Err(self.unavailable(key, answer))
            }
            Answer::Failed | Answer::Died => Err(self.unavailable(key, answer)),
        }
    }

    fn may_read(&self, key: &str) -> Result<(), BucketError> {
        if self.view.reads {
            return Ok(());
        }
        Err(BucketError::PermissionDenied {
            key: key.to_owned(),
            bucket: self.shelf.name.to_owned(),
            source: "a mailbox of somebody else's".into(),
        })
    }

    /// Whether an object that is put now is said to exist although it is not there.
    fn is_phantom(&self, key: &str) -> bool {
        let (now, chance) = (self.schedule.now(), self.view.phantoms);
        let draw = || match chance > 0 && self.schedule.chance(chance) {
            true => now + i64::try_from(self.schedule.below(PHANTOM.unsigned_abs())).unwrap_or(0),
            false => now,
        };
        chance > 0 && self.shelf.is_phantom(key, now, draw)
    }

    /// From when on objects are missing in a listing that is made now, if it is stale.
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

#[async_trait]
impl Bucket for SimBucket {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        self.run("get", key, async {
            self.may_read(key)?;
            let object = self.shelf.inner.get(key).await?;
            let bad = self.view.bad_reads > 0 && self.schedule.chance(self.view.bad_reads);
            if bad && self.shelf.flips(key) {
                self.schedule.count("bad-reads");
                return Ok(flip(object).await);
            }
            Ok(object)
        })
        .await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.run("range", key, async {
            self.may_read(key)?;
            self.shelf.inner.get_range(key, range).await
        })
        .await
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        self.run("size", key, async {
            self.may_read(key)?;
            self.shelf.inner.size(key).await
        })
        .await
    }

    async fn create(&self, key: &str, size_hint: Option<u64>) -> Result<Box<dyn Upload>, BucketError> {
        // In the clouds a small upload begins with its commit: there is nothing to wait for.
        if self.life.is_dead() {
            return Err(self.unavailable(key, Answer::Died));
        }
        let inner = self.shelf.inner.create(key, size_hint).await?;
        Ok(Box::new(SimUpload {
            inner,
            bucket: self.clone(),
            key: key.to_owned(),
        }))
    }

    async fn list(
        &self,
        prefix: &str,
        range: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
        let listing = self.run("list", prefix, async {
            self.may_read(prefix)?;
            let entries = self.shelf.inner.list(prefix, range).await?;
            let horizon = self.horizon();
            let mut all: Vec<_> = entries.collect().await;
            if let Some(horizon) = horizon {
                let young = |entry: &Result<Entry, _>| match entry {
                    Ok(entry) => self.shelf.is_younger_than(&entry.key, horizon),
                    Err(_) => false,
                };
                all.retain(|entry| !young(entry));
            }
            Ok(all)
        });
        Ok(stream::iter(listing.await?).boxed())
    }

    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        self.run("directories", prefix, async {
            self.may_read(prefix)?;
            self.shelf.inner.list_directories(prefix).await
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.run("delete", key, async {
            self.shelf.inner.delete(key).await?;
            self.shelf.forget(key);
            Ok(())
        })
        .await
    }

    async fn date(&self) -> Result<i64, BucketError> {
        // The buckets' clocks are right; those of the machines need not be.
        self.run("date", "", async { Ok(self.schedule.now()) }).await
    }

    fn location(&self) -> String {
        self.shelf.inner.location()
    }

    fn stores_empty_objects(&self) -> bool {
        self.view.empty_objects
    }
}

struct SimUpload {
    inner: Box<dyn Upload>,
    bucket: SimBucket,
    key: String,
}

#[async_trait]
impl Upload for SimUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        self.inner.write(bytes).await
    }

    async fn commit(self: Box<Self>) -> Result<Created, BucketError> {
        let Self { inner, bucket, key } = *self;
        let made = async {
            if bucket.is_phantom(&key) {
                inner.abort().await;
                bucket.schedule.count("phantoms");
                return Ok(Created::Exists);
            }
            let created = inner.commit().await?;
            if created == Created::New {
                bucket.shelf.note(&key, bucket.schedule.now());
            }
            Ok(created)
        };
        bucket.run("commit", &key, made).await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}
