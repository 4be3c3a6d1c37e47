//! The records of windows: which are done, held, given up or fixed, and their rosters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::TryStreamExt as _;
use tallybox_model::roster::{RosterObject, WindowName};
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::{BucketError, ListRange};

use super::buckets::list_keys;
use super::scan::Scanner;
use super::window_name;

/// Limit of windows of an aggregation that are taken from the names of the peer's rosters.
const MAX_PEER_WINDOWS: usize = 1 << 16;

impl Scanner<'_> {
    /// Reads the marks of windows: which are done, held or released. Returns the windows with fixed
    /// batches.
    pub(super) async fn windows(&mut self) -> Result<BTreeSet<Window>, BucketError> {
        let mut fixed = BTreeSet::new();
        let own = &*self.buckets.own;
        let directory = format!("{}/{}", WindowName::DONE_DIRECTORY, self.aggregation);
        let range = self.window_keys(WindowName::DONE_DIRECTORY);
        let mut keys = list_keys(own, &directory, range).await?;
        while let Some(key) = keys.try_next().await? {
            if let Some((name, RosterObject::Done)) = RosterObject::parse(&key) {
                self.window(name.window).done = true;
            } else if let Some((name, RosterObject::Held)) = RosterObject::parse(&key) {
                self.window(name.window).held = true;
            } else if let Some(name) = WindowName::from_released(&key) {
                self.window(name.window).released = true;
            } else if let Some(name) = WindowName::from_batches(&key) {
                fixed.insert(name.window);
            } else {
                self.ignore(own, &key);
            }
        }
        Ok(fixed)
    }

    /// Reads the marks of windows that were given up. Windows that have been done since are left
    /// out.
    pub(super) async fn given_up(&mut self) -> Result<(), BucketError> {
        let directory = format!("{}/{}", WindowName::GIVEN_UP_DIRECTORY, self.aggregation);
        let own = &self.buckets.own;
        let mut entries = own.list(&directory, ListRange::default()).await?;
        let mut marks: BTreeMap<Window, bool> = BTreeMap::new();
        while let Some(entry) = entries.try_next().await? {
            if let Some((name, acknowledged)) = WindowName::from_given_up(&entry.key) {
                *marks.entry(name.window).or_default() |= acknowledged;
            }
        }
        let listed_from = self.window_times().0;
        for (window, acknowledged) in marks {
            let listed = self.is_listed_as_done(window);
            let done = match acknowledged || listed || window.start() >= listed_from {
                true => listed,
                // The window is older than the listed range, so its mark is looked up by name.
                false => {
                    let mark = window_name(self.aggregation, window).done();
                    self.buckets.own_has(&mark).await?
                }
            };
            if !done {
                self.found.given_up.insert(window, acknowledged);
            }
        }
        Ok(())
    }

    /// Reads the rosters of both sides and their agreement in the own bucket.
    pub(super) async fn our_rosters(&mut self) -> Result<(), BucketError> {
        let directory = format!("{}/{}", WindowName::DIRECTORY, self.aggregation);
        let range = self.window_keys(WindowName::DIRECTORY);
        let mut keys = list_keys(&*self.buckets.own, &directory, range).await?;
        while let Some(key) = keys.try_next().await? {
            // Other names are evidence that the facilitator keeps.
            let Some((name, what)) = RosterObject::parse(&key) else {
                continue;
            };
            let role = self.policy.role;
            let window = self.window(name.window);
            match what {
                RosterObject::Roster(writer) if writer == role => window.our_roster = true,
                RosterObject::Roster(_) => window.peer_roster = true,
                RosterObject::Agreed => window.agreed = true,
                RosterObject::Verdicts
                | RosterObject::Counted
                | RosterObject::Held
                | RosterObject::Done => {}
            }
        }
        Ok(())
    }

    /// Reads the rosters in the peer's mailbox.
    pub(super) async fn peer_rosters(&mut self) -> Result<(), BucketError> {
        let mailbox = &*self.buckets.peer_validation_in;
        let directory = format!("{}/{}", WindowName::DIRECTORY, self.aggregation);
        let range = self.window_keys(WindowName::DIRECTORY);
        let mut keys = list_keys(mailbox, &directory, range).await?;
        while let Some(key) = keys.try_next().await? {
            let windows = &self.found.windows;
            match RosterObject::parse(&key) {
                Some((name, RosterObject::Roster(writer)))
                    if writer == self.policy.role.peer()
                        && (windows.len() < MAX_PEER_WINDOWS
                            || windows.contains_key(&name.window)) =>
                {
                    self.window(name.window).peer_roster = true;
                }
                _ => self.ignore(mailbox, &key),
            }
        }
        Ok(())
    }

    /// Reads the fixed batches of windows that are open, or recent enough for a late batch.
    pub(super) async fn read_fixed(&mut self, fixed: BTreeSet<Window>) -> Result<(), BucketError> {
        for window in fixed {
            let oldest = self.scope.batches.0;
            let done = self.window(window).done;
            // Nothing is reported as late for this window any more.
            if done && window.end() < oldest {
                continue;
            }
            let name = window_name(self.aggregation, window);
            let cached = self.cache.batches().get(&name).cloned();
            let batches = match cached {
                Some(batches) => batches,
                None => {
                    let batches = Arc::new(self.buckets.fixed_batches(&name).await?);
                    self.cache.batches().insert(name, Arc::clone(&batches));
                    batches
                }
            };
            self.window(window).fixed = Some((*batches).clone());
        }
        Ok(())
    }

    /// Returns the range of windows to read: those of the scope, those that have passed the
    /// horizon, and those of recent batches.
    pub(super) fn window_times(&self) -> (BatchTime, BatchTime) {
        let (windows, batches) = (self.scope.windows, self.scope.batches);
        let oldest = windows.0.min(batches.0).min(self.scope.passed);
        let from = self.policy.window_of(oldest);
        (
            from.map_or(oldest, |window| window.start()),
            windows.1.max(batches.1),
        )
    }

    fn window_keys(&self, directory: &str) -> (String, String) {
        let (from, until) = self.window_times();
        let key = |time| RosterObject::from(directory, self.aggregation, time);
        (key(from), key(until))
    }
}
