//! A cache of immutable objects that earlier scans have read, and of findings that were logged.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tallybox_model::roster::WindowName;
use tallybox_model::task::WindowBatches;
use tallybox_model::time::BatchTime;

use super::StartedAt;

/// Limit of entries of each kind.
const MAX_CACHED_ENTRIES: usize = 100_000;

/// A cache of immutable objects that were read. A long-running process keeps it between runs.
#[derive(Debug, Default)]
pub struct ScanCache {
    batches: Mutex<HashMap<WindowName, Arc<WindowBatches>>>,
    markers: Mutex<HashMap<String, StartedAt>>,
    logged: Mutex<HashSet<String>>,
}

impl ScanCache {
    /// Removes entries older than a time, and all markers if there are too many.
    pub(super) fn prune_before(&self, time: BatchTime) {
        self.batches().retain(|name, _| name.window.end() >= time);
        let mut markers = self.markers();
        if markers.len() > MAX_CACHED_ENTRIES {
            markers.clear();
        }
    }

    /// Returns whether this is the first occurrence of a message, and records it.
    pub(crate) fn log_once(&self, what: &str) -> bool {
        let mut logged = lock(&self.logged);
        if logged.len() > MAX_CACHED_ENTRIES {
            logged.clear();
        }
        logged.insert(what.to_owned())
    }

    /// Returns the fixed batches of windows.
    pub(super) fn batches(&self) -> MutexGuard<'_, HashMap<WindowName, Arc<WindowBatches>>> {
        lock(&self.batches)
    }

    /// Returns the times of first markers, by the names of the markers.
    pub(super) fn markers(&self) -> MutexGuard<'_, HashMap<String, StartedAt>> {
        lock(&self.markers)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
