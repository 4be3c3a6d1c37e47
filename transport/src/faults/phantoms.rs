//! A bucket that, once for each object, reports an absent object as existing and does not create
//! it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::Select;
use crate::SharedBucket;
use crate::intercept::{Intercepted, Interceptor};

/// A bucket whose first response to a commit is [`Created::Exists`](crate::Created) without effect,
/// for each object selected by a predicate.
#[derive(Debug)]
pub struct Phantoms {
    select: Select,
    reported: Mutex<BTreeSet<String>>,
}

impl Phantoms {
    /// Wraps a bucket. The first commit of each object whose key `select` accepts gets this
    /// response.
    pub fn wrap(
        inner: SharedBucket,
        select: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> SharedBucket {
        let phantoms = Self {
            select: Select::new(select),
            reported: Mutex::default(),
        };
        Intercepted::wrap(inner, phantoms)
    }
}

#[async_trait]
impl Interceptor for Phantoms {
    fn reports_existing(&self, key: &str) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        self.select.accepts(key) && reported.insert(key.to_owned())
    }
}
