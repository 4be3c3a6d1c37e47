//! A bucket that returns one corrupted byte for each object, as a damaged cache or cable would.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::BytesMut;
use futures::StreamExt as _;
use futures::stream;

use super::Select;
use crate::intercept::{Intercepted, Interceptor};
use crate::{Object, SharedBucket};

/// A bucket whose first response to `get` has one wrong bit, for each object selected by a
/// predicate.
pub type FlippedReads = Intercepted<Flips>;

/// Corrupts the first read of each selected object.
#[derive(Debug)]
pub struct Flips {
    select: Select,
    flipped: Mutex<BTreeSet<String>>,
}

impl FlippedReads {
    /// Wraps a bucket. The first read of each object whose key `select` accepts is corrupted.
    pub fn new(
        inner: SharedBucket,
        select: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        let flips = Flips {
            select: Select::new(select),
            flipped: Mutex::default(),
        };
        Self::wrap(inner, flips)
    }

    /// Returns the objects whose read was corrupted, sorted.
    pub fn flipped(&self) -> Vec<String> {
        let flipped = &self.interceptor.flipped;
        let flipped = flipped.lock().unwrap_or_else(PoisonError::into_inner);
        flipped.iter().cloned().collect()
    }
}

/// Returns the object with one wrong bit in the middle of its first chunk.
pub async fn flip(object: Object) -> Object {
    let Object { size, mut body } = object;
    let first = body.next().await;
    let damaged = first.map(|chunk| {
        chunk.map(|chunk| {
            let mut chunk = BytesMut::from(&chunk[..]);
            let middle = chunk.len() / 2;
            if let Some(byte) = chunk.get_mut(middle) {
                *byte ^= 1;
            }
            chunk.freeze()
        })
    });
    Object {
        size,
        body: stream::iter(damaged).chain(body).boxed(),
    }
}

#[async_trait]
impl Interceptor for Flips {
    async fn map_object(&self, key: &str, object: Object) -> Object {
        let is_first = self.select.accepts(key) && {
            let mut flipped = self.flipped.lock().unwrap_or_else(PoisonError::into_inner);
            flipped.insert(key.to_owned())
        };
        if is_first { flip(object).await } else { object }
    }
}
